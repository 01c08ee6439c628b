/** The pieces of a drawing. Its colours follow those of the page that shows it. */

const STYLE = `
    text { font: 14px system-ui, sans-serif; fill: #1f2328; }
    .small { font-size: 12px; fill: #59636e; }
    .line { stroke: #d1d9e0; fill: none; }
    .box { fill: none; stroke: #59636e; rx: 6px; }
    .arrow { stroke: #59636e; fill: none; marker-end: url(#head); }
    .head { fill: #59636e; }
    .half { stroke: #9a6700; stroke-dasharray: 3 4; }
    .ping { fill: #1a7f37; }
    .empty { fill: #d1d9e0; opacity: 0.35; }
    .outage { fill: #cf222e; opacity: 0.14; }
    .crash { stroke: #cf222e; stroke-width: 3; }
    .dead { fill: #cf222e; font-weight: 600; }
    .alive { fill: #1a7f37; }
    @media (prefers-color-scheme: dark) {
      text { fill: #f0f6fc; }
      .small { fill: #9198a1; }
      .line { stroke: #3d444d; }
      .box, .arrow { stroke: #9198a1; }
      .head { fill: #9198a1; }
      .half { stroke: #d29922; }
      .ping, .alive { fill: #3fb950; }
      .empty { fill: #3d444d; }
      .crash { stroke: #f85149; }
      .dead { fill: #f85149; }
    }
  `;

/** A whole drawing. */
export function svg(title: string, width: number, height: number, parts: readonly string[]): string {
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img">
  <title>${title}</title>
  <style>${STYLE}</style>
${parts.map((part) => `  ${part}`).join("\n")}
</svg>
`;
}

export function round(value: number): number {
  return Math.round(value * 10) / 10;
}

export function text(at: number, y: number, content: string, kind: string, anchor = "middle"): string {
  return `<text x="${round(at)}" y="${y}" text-anchor="${anchor}"${kind && ` class="${kind}"`}>${content}</text>`;
}

export function line(at: number, top: number, bottom: number, kind: string): string {
  return `<path class="${kind}" d="M${at} ${top}V${bottom}"/>`;
}

export function rect(left: number, top: number, width: number, height: number, kind: string): string {
  return `<rect class="${kind}" x="${left}" y="${top}" width="${round(width)}" height="${height}"/>`;
}
