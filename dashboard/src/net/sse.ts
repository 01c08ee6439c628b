/** Parses server-sent events from a stream of text. `EventSource` cannot send a token. */

export interface ServerEvent {
  readonly event: string;
  /** The last id that was sent, with this event or before it. */
  readonly id: string;
  readonly data: string;
}

/** Takes the text in pieces, wherever it is cut, and returns the complete events. */
export class EventParser {
  #text = "";
  #id: string;

  /** `id`: the last one sent on an earlier connection. */
  constructor(id = "") {
    this.#id = id;
  }

  take(text: string): ServerEvent[] {
    const blocks = (this.#text + text).split("\n\n");
    this.#text = blocks.pop() ?? "";
    return blocks.flatMap((block) => this.#parse(block));
  }

  #parse(block: string): ServerEvent[] {
    let event = "message";
    const data: string[] = [];
    for (const line of block.split("\n")) {
      const [, name, value = ""] = /^([^:]+)(?:: ?(.*))?$/.exec(line) ?? []; // a comment has no name
      if (name === "event") event = value;
      else if (name === "data") data.push(value);
      else if (name === "id") this.#id = value;
    }
    return data.length === 0 ? [] : [{ event, id: this.#id, data: data.join("\n") }];
  }
}
