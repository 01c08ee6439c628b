// The presence of a NestJS application: opened with it, closed before its server, shown by terminus.
import { type BeforeApplicationShutdown, Global, Inject, Injectable, Module } from "@nestjs/common";
import { HealthIndicatorService, TerminusModule } from "@nestjs/terminus";
import { Presence } from "heartbit";

export const PRESENCE = Symbol("presence");

/** Down while the view of the store may be out of date. */
@Injectable()
export class PresenceHealth {
  constructor(
    @Inject(PRESENCE) private readonly presence: Presence,
    private readonly indicators: HealthIndicatorService,
  ) {}

  check(name = "presence") {
    const { state, reason } = this.presence.health;
    const indicator = this.indicators.check(name);
    return state === "healthy" ? indicator.up() : indicator.down({ reason });
  }
}

const opened = {
  provide: PRESENCE,
  useFactory: async (): Promise<Presence> => {
    const presence = await Presence.open(process.env["HEARTBIT_STORE"] ?? "memory:nest", { name: "nest" });
    await presence.pinger(`server/${process.pid}`, { meta: { framework: "nest" } }).start();
    return presence;
  },
};

@Global()
@Module({
  imports: [TerminusModule],
  providers: [opened, PresenceHealth],
  exports: [PRESENCE, PresenceHealth, TerminusModule],
})
export class PresenceModule implements BeforeApplicationShutdown {
  constructor(@Inject(PRESENCE) private readonly presence: Presence) {}

  /** Ends the streams of the dashboard too, which would keep the server from closing. */
  async beforeApplicationShutdown(): Promise<void> {
    await this.presence.close();
  }
}
