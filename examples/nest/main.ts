// The whole application: npm install && npx tsc && node out/main.js [port]
import "reflect-metadata";
import { Controller, Get, Module } from "@nestjs/common";
import { NestFactory } from "@nestjs/core";
import { HealthCheck, HealthCheckService } from "@nestjs/terminus";
import type { Presence } from "heartbit";
import { dashboard, toNodeListener } from "heartbit/dashboard";
import { PRESENCE, PresenceHealth, PresenceModule } from "./presence.module.js";

/**
 * For monitoring. Not a liveness probe: all processes are down at once while the database fails over, and restarting
 * them helps nobody. A readiness probe only if the process is useless without the database.
 */
@Controller("health")
class HealthController {
  constructor(
    private readonly health: HealthCheckService,
    private readonly presence: PresenceHealth,
  ) {}

  @Get()
  @HealthCheck()
  check() {
    return this.health.check([() => this.presence.check()]);
  }
}

@Module({ imports: [PresenceModule], controllers: [HealthController] })
class AppModule {}

async function main(): Promise<void> {
  const app = await NestFactory.create(AppModule, { logger: ["error", "warn"] });
  app.enableShutdownHooks();
  const { handler } = dashboard(app.get<Presence>(PRESENCE), { basePath: "/presence" });
  app.use("/presence", toNodeListener(handler));
  await app.listen(Number(process.argv[2] ?? 7077), "127.0.0.1");
  console.log(`${await app.getUrl()}/presence/`);
}

void main();
