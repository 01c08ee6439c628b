import { Argument, type Command } from "commander";
import { type Cli, examples, type Runner } from "./cli.ts";
import { bashScript } from "./completion/bash.ts";
import { fishScript } from "./completion/fish.ts";
import { describeCommands } from "./completion/grammar.ts";
import { zshScript } from "./completion/zsh.ts";
import { EXIT } from "./errors.ts";

const SCRIPTS = { bash: bashScript, zsh: zshScript, fish: fishScript };

export function completion(program: Command, runner: Runner): void {
  const shells = Object.keys(SCRIPTS);
  const command = program
    .command("completion")
    .summary("print a script that makes a shell complete commands and options")
    .description(
      "Prints a script for the shell, with which the tab key completes the commands and options of heartbit. Print it again after an update.",
    )
    .addArgument(new Argument("<shell>", "which shell").choices(shells))
    .addHelpText(
      "after",
      examples([
        ["heartbit completion fish | source", "in ~/.config/fish/config.fish"],
        ['eval "$(heartbit completion bash)"', "in ~/.bashrc"],
        ['eval "$(heartbit completion zsh)"', "in ~/.zshrc, after compinit"],
      ]),
    );
  runner.on(command, async ({ out }: Cli) => {
    const shell = command.args[0] as keyof typeof SCRIPTS;
    const script = SCRIPTS[shell](describeCommands(program));
    await (out.json ? out.object({ shell, script }) : out.data(script));
    return EXIT.ok;
  });
}
