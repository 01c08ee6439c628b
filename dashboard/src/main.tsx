import { render } from "preact";
import { Model } from "./model/model.ts";
import "./style/style.css";
import { App } from "./ui/app.tsx";

const root = document.getElementById("app");
if (root !== null) {
  const model = new Model();
  render(<App model={model} />, root);
  model.start();
}
