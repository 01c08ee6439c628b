/** Small drawings. The text beside each has the same meaning. */

export function Mark() {
  return (
    <svg class="mark" viewBox="0 0 22 16" aria-hidden="true">
      <rect x="0" y="6" width="4" height="4" rx="1" />
      <rect x="6" y="3" width="4" height="10" rx="1" />
      <rect x="12" y="0" width="4" height="16" rx="1" />
      <rect x="18" y="6" width="4" height="4" rx="1" />
    </svg>
  );
}

export function Sun() {
  return (
    <svg viewBox="0 0 16 16" aria-hidden="true" class="glyph">
      <circle cx="8" cy="8" r="3" />
      <path d="M8 .8v2M8 13.2v2M.8 8h2M13.2 8h2M2.9 2.9l1.4 1.4M11.7 11.7l1.4 1.4M13.1 2.9l-1.4 1.4M4.3 11.7l-1.4 1.4" />
    </svg>
  );
}

export function Moon() {
  return (
    <svg viewBox="0 0 16 16" aria-hidden="true" class="glyph">
      <path d="M13.4 9.7A5.8 5.8 0 0 1 6.3 2.6a5.8 5.8 0 1 0 7.1 7.1Z" />
    </svg>
  );
}

export function Cross() {
  return (
    <svg viewBox="0 0 16 16" aria-hidden="true" class="glyph">
      <path d="m4 4 8 8M12 4l-8 8" />
    </svg>
  );
}

export function Lens() {
  return (
    <svg viewBox="0 0 16 16" aria-hidden="true" class="glyph">
      <circle cx="7" cy="7" r="4.2" />
      <path d="m10.2 10.2 3.6 3.6" />
    </svg>
  );
}

/** A disc for a live key, a ring for a dead one. The word is beside it. */
export function Dot({ alive }: { readonly alive: boolean }) {
  return (
    <svg class={`dot ${alive ? "alive" : "dead"}`} viewBox="0 0 10 10" aria-hidden="true">
      <circle cx="5" cy="5" r="3.6" />
    </svg>
  );
}
