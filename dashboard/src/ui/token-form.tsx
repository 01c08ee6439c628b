import { useState } from "preact/hooks";
import type { Model } from "../model/model.ts";

/** Asks for the token, if the server has one. It is kept until the tab is closed. */
export function TokenForm({ model }: { readonly model: Model }) {
  const [token, set] = useState("");
  return (
    <main class="lock">
      <form
        onSubmit={(event) => {
          event.preventDefault();
          model.unlock(token.trim());
        }}
      >
        <h1>This dashboard has a token</h1>
        <p>
          It is what the server was started with: the content of its <code>--token-file</code>.
        </p>
        <label>
          Token
          <input
            type="password"
            value={token}
            autocomplete="current-password"
            autofocus
            required
            onInput={({ currentTarget }) => set(currentTarget.value)}
          />
        </label>
        <button type="submit">Open</button>
        <p role="alert" class="bad">
          {model.link.reason}
        </p>
      </form>
    </main>
  );
}
