import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { printable } from "../format.ts";
import type { Model } from "../model/model.ts";
import { ChangesPanel } from "./changes.tsx";
import { Header } from "./header.tsx";
import { useAddress, useModel, useNarrow } from "./hooks.ts";
import { KeyPage } from "./key-page.tsx";
import { KeysPanel } from "./keys.tsx";
import { Notices } from "./notices.tsx";
import { PulsePanel } from "./pulse.tsx";
import { Tabs } from "./tabs.tsx";
import { TokenForm } from "./token-form.tsx";
import { Totals } from "./totals.tsx";

export function App({ model }: { readonly model: Model }) {
  useModel(model);
  const [address, go] = useAddress();
  const narrow = useNarrow();
  const search = useRef<HTMLInputElement>(null);
  const { hello, link } = model;
  // While rendering: an effect runs a frame later, and a key pressed in between would be lost.
  useLayoutEffect(() => {
    const listen = (event: KeyboardEvent): void => {
      const typing = event.target instanceof HTMLInputElement;
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key === "/" && !typing) {
        event.preventDefault();
        go({ view: "keys", ...(narrow ? { key: undefined } : {}) });
        if (search.current !== null) search.current.focus();
        else requestAnimationFrame(() => search.current?.focus()); // another part was shown
      } else if (event.key === "Escape" && address.key !== undefined && !typing) go({ key: undefined });
    };
    addEventListener("keydown", listen);
    return () => removeEventListener("keydown", listen);
  });
  useEffect(() => {
    const what = address.key ?? hello?.name;
    document.title = what === undefined ? "heartbit" : `${printable(what)} · heartbit`;
  }, [address.key, hello?.name]);

  if (link.state === "locked") {
    return (
      <div class="app">
        <Header model={model} />
        <TokenForm model={model} />
      </div>
    );
  }
  const parts = { model, address, go };
  const keyPage =
    address.key === undefined ? null : <KeyPage {...parts} name={address.key} key={address.key} />;
  if (narrow) {
    const { view } = address;
    return (
      <div class="app narrow">
        <Header model={model} />
        <Notices model={model} />
        <main>
          {keyPage ?? (
            <>
              <Totals model={model} />
              {view === "keys" && <KeysPanel {...parts} narrow search={search} />}
              {view === "pulse" && <PulsePanel {...parts} narrow />}
              {view === "changes" && <ChangesPanel {...parts} />}
            </>
          )}
        </main>
        <Tabs address={address} go={go} />
      </div>
    );
  }
  return (
    <div class="app wide">
      <Header model={model} />
      <Notices model={model} />
      <main>
        <Totals model={model} />
        <div class="parts">
          <PulsePanel {...parts} />
          <KeysPanel {...parts} search={search} />
          {keyPage ?? <ChangesPanel {...parts} />}
        </div>
      </main>
    </div>
  );
}
