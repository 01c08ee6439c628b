import type { Flag, Grammar } from "./grammar.ts";

export function fishScript({ commands, flags }: Grammar): string {
  const lines = [
    "# heartbit completion for fish: heartbit completion fish | source",
    "complete -c heartbit -f",
    ...flags.map((flag) => `complete -c heartbit ${optionOf(flag)}`),
  ];
  for (const { name, what } of commands) {
    lines.push(`complete -c heartbit -n __fish_use_subcommand -a ${name} -d ${quote(what)}`);
  }
  for (const { name, flags: own, choices, runs } of commands) {
    const seen = `complete -c heartbit -n '__fish_seen_subcommand_from ${name}'`;
    if (choices !== undefined) lines.push(`${seen} -a ${quote(choices.join(" "))}`);
    if (runs) lines.push(`${seen} -a '(__fish_complete_subcommand --fcs-skip=3)'`);
    for (const flag of own) lines.push(`${seen} ${optionOf(flag)}`);
  }
  return lines.join("\n");
}

function optionOf({ name, short, what, takes }: Flag): string {
  const value = { nothing: "", text: " -x", file: " -r -F" }[takes];
  return `-l ${name}${short === undefined ? "" : ` -s ${short}`} -d ${quote(what)}${value}`;
}

function quote(text: string): string {
  return `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
}
