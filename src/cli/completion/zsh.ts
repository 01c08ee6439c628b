import type { CommandWords, Flag, Grammar } from "./grammar.ts";

export function zshScript({ commands, flags }: Grammar): string {
  const names = commands.map(({ name, what }) => `    ${quote(`${name}:${what.replaceAll(":", "\\:")}`)}`);
  const cases = commands.map((command) => `        ${command.name}) _arguments ${argumentsOf(command)} ;;`);
  return `#compdef heartbit
# heartbit completion for zsh: eval "$(heartbit completion zsh)", after compinit
_heartbit() {
  local curcontext=$curcontext state line
  local -A opt_args
  local -a common commands
  common=(
${flags.map((flag) => `    ${specOf(flag)}`).join("\n")}
  )
  commands=(
${names.join("\n")}
  )
  _arguments -C $common '1: :->command' '*:: :->rest'
  case $state in
    command) _describe -t commands command commands ;;
    rest)
      case $words[1] in
${cases.join("\n")}
      esac
      ;;
  esac
}
if [[ $funcstack[1] == _heartbit ]]; then _heartbit "$@"; else compdef _heartbit heartbit; fi`;
}

function argumentsOf({ flags, choices, runs }: CommandWords): string {
  const rest = runs
    ? ["'1:key:'", "'2:command:_command_names -e'", "'*::arguments:_normal'"]
    : [choices === undefined ? "'*: :'" : `'1: :(${choices.join(" ")})'`];
  return ["$common", ...flags.map(specOf), ...rest].join(" ");
}

/** As `_arguments` has it: `--name[what]:text:`. */
function specOf({ name, what, takes }: Flag): string {
  const said = what.replace(/[[\]\\:]/g, "\\$&");
  const value = { nothing: "", text: ":text:", file: ":file:_files" }[takes];
  return quote(`--${name}[${said}]${value}`);
}

function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
