import type { Flag, Grammar } from "./grammar.ts";

/** Nothing in the names of commands and options needs quoting. */
export function bashScript({ commands, flags }: Grammar): string {
  const cases = commands.map(({ name, flags: own, choices, runs }) => {
    const words = [
      `words="${choices?.join(" ") ?? ""}"`,
      `flags+=" ${namesOf(own)}"`,
      ...(runs ? ["runs=1"] : []),
    ];
    return `    ${name}) ${words.join("; ")} ;;`;
  });
  const all = [...flags, ...commands.flatMap(({ flags: own }) => own)];
  const names = (takes: Flag["takes"]): string =>
    [...new Set(all.filter((flag) => flag.takes === takes).map(({ name }) => `--${name}`))].join(" | ");
  return `# heartbit completion for bash: eval "$(heartbit completion bash)"
_heartbit() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD-1]}
  local command= count=0 words= flags="${namesOf(flags)}" runs= i
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    case \${COMP_WORDS[i]} in
    --)
      COMPREPLY=($(if ((i + 1 == COMP_CWORD)); then compgen -c -- "$cur"; else compgen -f -- "$cur"; fi))
      return
      ;;
    ${names("text")} | ${names("file")}) ((i++)) ;;
    -*) ;;
    *) if [[ -z $command ]]; then command=\${COMP_WORDS[i]}; else ((count++)); fi ;;
    esac
  done
  case $prev in
    ${names("file")}) COMPREPLY=($(compgen -f -- "$cur")); return ;;
    ${names("text")}) return ;;
  esac
  case $command in
    "") words="${commands.map(({ name }) => name).join(" ")}" ;;
${cases.join("\n")}
    *) return ;;
  esac
  ((count > 0)) && words=
  [[ $cur == -* ]] && words=$flags
  if [[ -n $runs && $count -eq 1 && $cur != -* ]]; then
    COMPREPLY=($(compgen -c -- "$cur"))
  else
    COMPREPLY=($(compgen -W "$words" -- "$cur"))
  fi
}
complete -F _heartbit heartbit`;
}

function namesOf(flags: readonly Flag[]): string {
  return flags.map(({ name }) => `--${name}`).join(" ");
}
