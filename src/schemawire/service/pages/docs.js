"use strict";
// Draws /openapi.json and tries requests. Everything that comes from the service is set as text, never as markup.

const METHODS = ["get", "post", "put", "patch", "delete"];
let description = null;
let key = "";

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

const find = (id) => document.getElementById(id);
const pretty = (value) => JSON.stringify(value, null, 2);

function prose(text) {
  // What stands between backticks is code.
  return (text || "").split("`").map((part, place) => (place % 2 ? make("code", {}, part) : part));
}

function resolve(value) {
  if (!value || !value.$ref) return value;
  return value.$ref.slice(2).split("/").reduce((inner, name) => inner[name], description);
}

function say(text, isBad = false) {
  find("notice").replaceChildren(...prose(text));
  find("notice").classList.toggle("bad", isBad);
}

find("entry").addEventListener("submit", async (event) => {
  event.preventDefault();
  key = find("key").value.trim();
  try {
    const reply = await fetch("/openapi.json", { headers: { Authorization: `Bearer ${key}` }, cache: "no-store" });
    const document_ = await reply.json();
    if (!reply.ok) return say(`${document_.code}: ${document_.detail} ${document_.fix}`, true);
    description = document_;
    draw();
  } catch (error) {
    say(`The description could not be read: ${error.message}`, true);
  }
});

function operations() {
  const found = [];
  for (const [path, methods] of Object.entries(description.paths)) {
    for (const method of METHODS) {
      if (methods[method]) found.push({ path, method: method.toUpperCase(), ...methods[method] });
    }
  }
  return found;
}

function draw() {
  find("version").textContent = description.info.version;
  say(description.info.description);
  find("layout").hidden = false;
  const index = find("index");
  const main = find("operations");
  index.replaceChildren();
  main.replaceChildren();
  for (const tag of description.tags) {
    const own = operations().filter((operation) => operation.tags.includes(tag.name));
    if (!own.length) continue;
    index.append(make("h2", {}, tag.name));
    main.append(make("h2", {}, tag.name), make("p", { class: "soft" }, tag.description));
    for (const operation of own) {
      index.append(entryOf(operation));
      main.append(drawOperation(operation));
    }
  }
  if (location.hash) open_(location.hash.slice(1));
}

function entryOf(operation) {
  const entry = make(
    "a", { href: `#${operation.operationId}`, "data-text": `${operation.method} ${operation.path} ${operation.summary}`.toLowerCase() },
    make("span", { class: `method ${operation.method}` }, operation.method), make("span", {}, operation.summary),
  );
  entry.addEventListener("click", () => open_(operation.operationId));
  return entry;
}

function open_(id) {
  const element = find(id);
  if (element) { element.open = true; element.scrollIntoView(); }
}

find("filter").addEventListener("input", (event) => {
  const wanted = event.target.value.toLowerCase();
  for (const entry of find("index").querySelectorAll("a")) entry.hidden = !entry.dataset.text.includes(wanted);
});

function drawOperation(operation) {
  const summary = make(
    "summary", {}, make("span", { class: `method ${operation.method}` }, operation.method),
    make("code", {}, operation.path), make("span", { class: "soft" }, operation.summary),
  );
  const details = make("details", { class: "operation", id: operation.operationId }, summary);
  details.addEventListener("toggle", () => {
    if (details.open && details.children.length === 1) details.append(inside(operation));
  });
  return details;
}

function inside(operation) {
  const parameters = (operation.parameters || []).map(resolve);
  const form = make("form", { class: "inside" }, make("p", {}, ...prose(operation.description)));
  if (parameters.length) form.append(make("h3", {}, "Parameters"), parameterTable(parameters, operation));
  const body = bodyOf(operation);
  let editor = null;
  if (body) {
    editor = make("textarea", { "aria-label": "Body", spellcheck: "false" });
    editor.value = typeof body.example === "string" ? body.example : body.example === undefined ? "{}" : pretty(body.example);
    form.append(make("h3", {}, `Body (${body.type})`), editor, shapeOf("What it may hold", body.schema));
  }
  const result = make("div", { "aria-live": "polite" });
  form.append(make("p", {}, make("button", {}, "Send")), result, make("h3", {}, "Answers"), answerTable(operation));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    send(operation, form, body, editor, result);
  });
  return form;
}

function bodyOf(operation) {
  const content = operation.requestBody && operation.requestBody.content;
  if (!content) return null;
  const [type, described] = Object.entries(content)[0];
  return { type, schema: described.schema, example: described.example };
}

function parameterTable(parameters, operation) {
  const table = make("table", {});
  for (const parameter of parameters) {
    const name = `${parameter.in}:${parameter.name}`;
    const values = parameter.schema && parameter.schema.enum;
    const field = values
      ? make("select", { name }, make("option", { value: "" }, ""), ...values.map((value) => make("option", {}, value)))
      : make("input", { name, placeholder: parameter.example ?? "", required: parameter.required, autocomplete: "off" });
    if (parameter.in === "path" && parameter.example !== undefined) field.value = parameter.example;
    field.setAttribute("aria-label", `${parameter.name} of ${operation.summary}`);
    const where = parameter.required ? parameter.in : `${parameter.in}, optional`;
    table.append(make(
      "tr", {}, make("td", {}, make("code", {}, parameter.name), make("div", { class: "soft" }, where)),
      make("td", {}, ...prose(parameter.description)), make("td", {}, field),
    ));
  }
  return table;
}

function answerTable(operation) {
  const table = make("table", {});
  for (const [status, listed] of Object.entries(operation.responses)) {
    const response = resolve(listed);
    const content = Object.entries(response.content || {})[0];
    const cell = make("td", {}, response.description);
    if (content && content[1].example !== undefined) cell.append(foldedText("Example", pretty(content[1].example)));
    for (const [code, example] of Object.entries((content && content[1].examples) || {})) {
      cell.append(foldedText(code, pretty(resolve(example).value)));
    }
    const kind = status < 400 ? "good" : "bad";
    table.append(make("tr", {}, make("td", { class: `status ${kind}` }, status), make("td", {}, content ? content[0] : ""), cell));
  }
  return table;
}

function foldedText(title, text) {
  return make("details", {}, make("summary", {}, title), make("pre", {}, text));
}

function shapeOf(title, schema) {
  const details = make("details", {}, make("summary", {}, title));
  details.addEventListener("toggle", () => {
    if (details.open && details.children.length === 1) details.append(make("pre", {}, pretty(spread(schema, []))));
  });
  return details;
}

function spread(value, seen) {
  if (Array.isArray(value)) return value.map((entry) => spread(entry, seen));
  if (!value || typeof value !== "object") return value;
  if (value.$ref) return seen.includes(value.$ref) ? value.$ref.split("/").pop() : spread(resolve(value), [...seen, value.$ref]);
  return Object.fromEntries(Object.entries(value).filter(([name]) => name !== "title").map(([name, inner]) => [name, spread(inner, seen)]));
}

async function send(operation, form, body, editor, result) {
  let path = operation.path;
  const query = new URLSearchParams();
  const headers = { Authorization: `Bearer ${key}` };
  for (const field of form.querySelectorAll("[name]")) {
    const [place, name] = [field.name.slice(0, field.name.indexOf(":")), field.name.slice(field.name.indexOf(":") + 1)];
    if (place === "path") path = path.replace(`{${name}}`, encodeURIComponent(field.value));
    else if (field.value !== "" && place === "query") query.set(name, field.value);
    else if (field.value !== "" && place === "header") headers[name] = field.value;
  }
  if (body) headers["Content-Type"] = body.type;
  const target = query.size ? `${path}?${query}` : path;
  result.replaceChildren(make("p", { class: "soft" }, "…"));
  const started = performance.now();
  try {
    const reply = await fetch(target, { method: operation.method, headers, body: editor ? editor.value : undefined, cache: "no-store" });
    const text = await reply.text();
    const took = `${Math.round(performance.now() - started)} ms`;
    result.replaceChildren(
      make("p", {}, make("span", { class: `status ${reply.ok ? "good" : "bad"}` }, `${reply.status} ${reply.statusText}`), ` ${took}`),
      make("pre", {}, shown(text, reply.headers.get("Content-Type") || "")),
      foldedText("Headers", [...reply.headers].map(([name, value]) => `${name}: ${value}`).join("\n")),
      foldedText("As a curl command", curl(operation.method, target, headers, editor && editor.value)),
    );
  } catch (error) {
    result.replaceChildren(make("p", { class: "status bad" }, error.message));
  }
}

function shown(text, type) {
  if (!/json$|json;/.test(type) || type.includes("ndjson")) return text;
  try { return pretty(JSON.parse(text)); } catch { return text; }
}

function curl(method, target, headers, body) {
  const quote = (text) => `'${String(text).replaceAll("'", "'\\''")}'`;
  const parts = [`curl -X ${method}`, quote(location.origin + target)];
  for (const [name, value] of Object.entries(headers)) {
    parts.push(name === "Authorization" ? '-H "Authorization: Bearer $BACKEND_API_KEY"' : `-H ${quote(`${name}: ${value}`)}`);
  }
  if (body) parts.push(`-d ${quote(body)}`);
  return parts.join(" \\\n  ");
}
