// Script of the page. Content of mails and answers enters the page as text, never as markup.
"use strict";

const ENVIRONMENTS = JSON.parse(document.documentElement.dataset.environments);
const LIMIT = Number(document.documentElement.dataset.maxMailBytes);
const SHOWN_AT_FIRST = 8;
const MOST_CHOICES = 200;
const SVG = "http://www.w3.org/2000/svg";

const EXAMPLES = {
  "a discussion": `Subject: Re: [PATCH] fix the build on Debian
From: Anna <anna@example.org>
To: devel@lists.example.org

On Monday Peter wrote:
> The build fails here when the linker is older than 2.12.
> Could somebody have a look?

The attached patch applies cleanly, I committed it. Please test and
tell me whether the warning is gone.

Anna
`,
  "a prize": `Subject: CONGRATULATIONS!!! You have WON $1,000,000
From: Prize Department <winner@example.com>

DEAR FRIEND,

You have been SELECTED to receive $1,000,000 CASH!!! This is NOT a joke.
CLICK HERE to claim your FREE money now: http://192.0.2.7/claim?id=8821

ACT NOW!!! This offer expires in 24 HOURS. 100% risk FREE, no obligation.
To be removed from our mailing list reply with REMOVE in the subject.
`,
  "an offer in HTML": `Subject: Lower your mortgage payment today
MIME-Version: 1.0
Content-Type: text/html; charset=us-ascii

<html><body bgcolor="#FFFFFF"><center>
<font size="6" color="#FF0000"><b>Rates are at their LOWEST in 40 years!</b></font><br>
<img src="http://offers.example.com/banner.gif" width="400" height="60"><br>
<a href="http://offers.example.com/apply">Click here for a FREE quote</a> - bad credit is OK!
<form action="http://offers.example.com/go"><input name="email"><input type="submit" value="Send it to me"></form>
<!-- 8f3kd02 --></center></body></html>
`,
  "a short note": "Subject: Lunch\n\nSee you at ten.\n",
};

const $ = (id) => document.getElementById(id);
const mail = $("mail");

/** A file's text, which is judged until somebody edits it: a text area would change its line ends. */
let exact = null;
let asked = null;
let judged = null;
let answers = new Map();
let showAll = false;

// ---------------------------------------------------------------------------------------------
// Building elements.

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function drawn(name, attributes, ...children) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

const count = (n) => n.toLocaleString("en");

/** Format a probability in percent; never round it to 0 or 100 %, which no model can claim. */
function percent(p) {
  if (p > 0 && p < 0.001) return "under 0.1 %";
  if (p < 1 && p > 0.999) return "over 99.9 %";
  return `${(100 * p).toFixed(1)} %`;
}

function number(value, name) {
  if (name.endsWith("_share")) return `${(100 * value).toFixed(value > 0 && value < 0.1 ? 1 : 0)} %`;
  return value.toLocaleString("en", { maximumFractionDigits: value < 10 ? 1 : 0 });
}

// ---------------------------------------------------------------------------------------------
// The mail.

const content = () => (exact === null ? mail.value : exact);

const sizeOf = (text) => new TextEncoder().encode(text).length;

function refuse(why) {
  $("refused").textContent = why;
}

/** Show what was opened, and announce it to screen readers. */
function tell(what) {
  $("opened").textContent = what;
  $("opened").hidden = !what;
  if (what) $("status").textContent = what;
}

function tooLarge(size, what, most = LIMIT) {
  return `${what} has ${count(size)} bytes; at most ${count(most)} can be judged.`;
}

function mailChanged() {
  const size = sizeOf(content());
  $("size").textContent = `${count(size)} of ${count(LIMIT)} bytes`;
  refuse(size > LIMIT ? tooLarge(size, "The mail") : "");
  $("stale").hidden = judged === null || judged === content();
}

function put(text, what = "") {
  mail.value = text;
  exact = text;
  mailChanged();
  tell(what);
}

async function open(file) {
  tell("");
  try {
    const why = await refusal(file);
    if (why) return refuse(why);
    const bytes = new Uint8Array(await file.arrayBuffer());
    const no = unfit(bytes, file.name);
    if (no) return refuse(no);
    const text = textOf(withoutNotes(bytes, file.name));
    if (!offerMails(text, file.name)) put(text, `${file.name} is opened. ${oddity(text)}`.trim());
  } catch {
    refuse(`${file.name} cannot be read.`);
  }
}

/** Return why a file is refused, from its beginning alone; "" if it is not. */
async function refusal(file) {
  if (file.size === 0) return `${file.name} is empty.`;
  const head = new Uint8Array(await file.slice(0, LOOKED_AT).arrayBuffer());
  const no = unfit(head, file.name);
  const most = textOf(head).startsWith("From ") ? MAILBOX_LIMIT : LIMIT;
  // Text in UTF-8 is never smaller than the file's bytes, so a huge file is refused without reading all of it.
  return no || (file.size > most ? tooLarge(file.size, file.name, most) : "");
}

/** Open one mail; of several, let the user choose. */
function openAll(files, folders) {
  const [folder] = folders;
  refuse("");
  tell("");
  choose("", []);
  if (files.length === 1) return folder ? refuse(`${folder} is a folder. Open one mail of it.`) : open(files[0]);
  if (files.length === 0) return refuse("No file could be read from what was dropped.");
  const shown = files.filter((file) => !folders.has(file.name));
  const choices = shown.map((file) => ({ name: file.name, more: `${count(file.size)} bytes`, open: () => open(file) }));
  choose(`${count(files.length)} files, and one mail is judged at a time. Choose one:`, choices);
}

/** Offer the mails of a mailbox; return whether the text is one. */
function offerMails(text, what) {
  const found = mailsOf(text);
  if (found.length < 2) return false;
  const choices = found.map((each, i) => ({
    name: header(each, "Subject") || "(no subject)",
    more: header(each, "From"),
    open: () => put(each, `Mail ${count(i + 1)} of ${count(found.length)} of ${what} is opened.`),
  }));
  choose(`${what} holds ${count(found.length)} mails, and one is judged at a time. Choose one:`, choices);
  return true;
}

function choose(title, choices) {
  const items = choices.slice(0, MOST_CHOICES).map((choice) => {
    const button = element("button", { type: "button", class: "quiet" }, element("b", {}, choice.name), " ", choice.more);
    button.addEventListener("click", () => {
      for (const each of $("choices").querySelectorAll("[aria-current]")) each.removeAttribute("aria-current");
      button.setAttribute("aria-current", "true");
      choice.open();
    });
    return element("li", {}, button);
  });
  if (choices.length > MOST_CHOICES) items.push(element("li", {}, `and ${count(choices.length - MOST_CHOICES)} more`));
  $("choices").replaceChildren(...items);
  $("choice-title").textContent = title;
  $("choice").hidden = !title;
  // Focused so that screen readers announce it, and the next Tab reaches the first mail.
  if (title) $("choice-title").focus();
}

// ---------------------------------------------------------------------------------------------
// Requests.

async function judge() {
  const text = content();
  const size = sizeOf(text);
  if (!text.trim()) {
    refuse("There is no mail yet: paste one, open a file, or try an example.");
    mail.focus();
    return;
  }
  if (offerMails(text, "This text")) return;
  if (size > LIMIT) return refuse(tooLarge(size, "The mail"));
  refuse("");
  if (asked) asked.abort();
  const turn = (asked = new AbortController());
  judged = text;
  answers = new Map();
  showAll = false;
  $("status").textContent = "Asking.";
  show();
  await Promise.all(
    ENVIRONMENTS.map(async (environment) => {
      const answer = await ask(environment, text, turn.signal);
      if (turn.signal.aborted) return;
      answers.set(environment, answer);
      show();
    }),
  );
  if (!turn.signal.aborted) $("status").textContent = [...answers].map(spoken).join(" ");
}

async function ask(environment, text, signal) {
  const headers = { "Content-Type": "application/json", "X-Environment": environment };
  const key = $("key").value.trim();
  if (key) headers.Authorization = `Bearer ${key}`;
  const started = performance.now();
  try {
    const body = JSON.stringify({ email_content: text });
    const response = await fetch("api/v1/explain", { method: "POST", headers, body, signal, cache: "no-store" });
    const found = await response.json().catch(() => ({}));
    return {
      ok: response.ok,
      status: response.status,
      found,
      milliseconds: performance.now() - started,
      requestId: response.headers.get("x-request-id") || found.request_id || "",
      sha256: response.headers.get("x-model-sha256") || "",
    };
  } catch {
    return { ok: false, status: 0, found: { title: "No answer", detail: "The gateway cannot be reached." }, requestId: "" };
  }
}

function spoken([environment, answer]) {
  const { found } = answer;
  if (!answer.ok) return `${environment}: ${found.title || "error"}, ${found.detail || answer.status}.`;
  const known = typeof found.threshold === "number";
  return `${environment}: ${found.prediction}: ${known ? reason(found) : `${percent(found.spam_probability)} spam probability`}.`;
}

// ---------------------------------------------------------------------------------------------
// Answers.

function show() {
  $("verdicts").hidden = false;
  $("stale").hidden = judged === content();
  $("cards").replaceChildren(...ENVIRONMENTS.map((environment, i) => card(environment, answers.get(environment), i)));
  showComparison();
  showFeatures();
  if ([...answers.values()].some((answer) => answer.status === 401)) $("key-row").hidden = false;
}

function card(environment, answer, i) {
  const title = element("h3", { id: `card-${i}` }, environment);
  const made = element("section", { class: "card", "aria-labelledby": title.id }, title);
  if (!answer) {
    made.setAttribute("aria-busy", "true");
    made.append(element("p", { class: "verdict muted" }, element("strong", {}, "…"), "asking"));
  } else if (answer.ok) {
    made.classList.add(answer.found.prediction === "spam" ? "spam" : "ham");
    made.append(...verdict(answer));
  } else {
    made.classList.add("problem");
    made.append(...problem(answer));
  }
  return made;
}

/** Format a probability and a threshold with enough digits to tell them apart. */
function percents(p, threshold) {
  const shown = [percent(p), percent(threshold)];
  for (let digits = 2; shown[0] === shown[1] && p !== threshold && digits < 10; digits++) {
    [p, threshold].forEach((value, i) => (shown[i] = `${(100 * value).toFixed(digits)} %`));
  }
  return shown;
}

const isSpam = ({ prediction }) => prediction === "spam";

/** Return the reason of a verdict; older transformers do not send the threshold. */
function reason(found) {
  const { spam_probability: p, threshold } = found;
  if (typeof threshold !== "number") return "the answer does not say from which probability a mail is spam";
  const [shown, from] = percents(p, threshold);
  if (isSpam(found) !== p >= threshold) return `the verdict does not fit the threshold of ${from}`;
  return `${shown} is ${isSpam(found) ? "at or above" : "below"} the threshold of ${from}`;
}

/** Return the scale from 0 to 100 %: tinted where a mail is spam, filled up to this one, with a mark at the threshold. */
function bar({ spam_probability: p, threshold }) {
  const made = drawn("svg", { class: "bar", "aria-hidden": "true" });
  made.append(drawn("rect", { class: "whole", width: "100%", height: 10, rx: 5 }));
  const known = typeof threshold === "number";
  const x = `${100 * threshold}%`;
  if (known) made.append(drawn("rect", { class: "beyond", x, width: `${100 * (1 - threshold)}%`, height: 10, rx: 5 }));
  made.append(drawn("rect", { class: "p", width: `${100 * p}%`, height: 10, rx: 5 }));
  if (!known) return made;
  const anchor = threshold > 0.8 ? "end" : threshold < 0.2 ? "start" : "middle";
  made.append(drawn("line", { class: "halo", x1: x, x2: x, y1: 0, y2: 16 }), drawn("line", { class: "threshold", x1: x, x2: x, y1: 0, y2: 16 }));
  made.append(drawn("text", { x, y: 30, "text-anchor": anchor }, `threshold ${percents(p, threshold)[1]}`));
  return made;
}

function verdict(answer) {
  const { found, sha256, requestId, milliseconds } = answer;
  const word = isSpam(found) ? "Spam" : "Ham";
  return [
    element("p", { class: "verdict" }, element("strong", {}, word), element("span", {}, `${percent(found.spam_probability)} spam probability`)),
    bar(found),
    element("p", { class: "reason" }, `${word}: ${reason(found)}.`),
    facts([
      ["Model", found.model_version],
      ["SHA-256", sha256 ? `${sha256.slice(0, 12)}…` : "not told"],
      ["Request", requestId],
      ["Time", `${milliseconds.toFixed(0)} ms`],
    ]),
  ];
}

function problem({ found, status, requestId }) {
  const hint = { 401: "Enter an API key above and judge again.", 429: "Wait a little and judge again." }[status];
  const detail = found.detail || `The answer is no problem of the gateway's: status ${status}.`;
  const facts_ = [["Status", status || "none"], ...(requestId ? [["Request", requestId]] : [])];
  return [
    element("strong", {}, found.title || "Error"),
    element("p", {}, detail),
    ...(hint ? [element("p", {}, hint)] : []),
    facts(facts_),
  ];
}

function facts(pairs) {
  const list = element("dl");
  for (const [term, value] of pairs) {
    list.append(element("dt", {}, term), element("dd", {}, element("code", {}, String(value))));
  }
  return list;
}

const answered = () => ENVIRONMENTS.filter((name) => answers.get(name)?.ok);

/** Explain how the verdicts of all environments compare. */
function showComparison() {
  const names = answered();
  const note = $("compared");
  note.hidden = names.length < 2 || answers.size < ENVIRONMENTS.length;
  if (note.hidden) return;
  const founds = names.map((name) => answers.get(name).found);
  const probabilities = founds.map((found) => found.spam_probability);
  const apart = Math.max(...probabilities) - Math.min(...probabilities);
  const disagree = new Set(founds.map((found) => found.prediction)).size > 1;
  const same = new Set(names.map((name) => answers.get(name).sha256 || founds[names.indexOf(name)].model_version)).size === 1;
  note.classList.toggle("same", !disagree && apart < 0.01);
  const models = same ? "They run the same model." : "They run different models.";
  if (disagree) note.textContent = `The environments disagree, ${percent(apart)} apart. ${models}`;
  else if (apart >= 0.01) note.textContent = `The environments agree, and are ${percent(apart)} apart. ${models}`;
  else note.textContent = `The environments agree. ${models}`;
}

// ---------------------------------------------------------------------------------------------
// Features compared with the training mail.

// Logarithmic, as in the model: counts span five decades.
const scale = (value) => Math.log1p(Math.max(value, 0));

/** Return how unusual a number is: 0 within the middle half of all mails, 1 at the edge of the middle 90 %. */
function unusual({ value, baseline }) {
  if (!baseline) return 0;
  const { p05, p25, p75, p95 } = baseline.all;
  const [from, edge] = value > p75 ? [p75, p95] : value < p25 ? [p25, p05] : [value, value];
  const beyond = Math.abs(scale(value) - scale(from));
  const room = Math.abs(scale(edge) - scale(from));
  const spread = Math.max(scale(p95) - scale(p05), 0.05);
  return beyond <= room ? beyond / (room || 1) : 1 + (beyond - room) / spread;
}

function words(feature) {
  const { p05, p25, p50, p75, p95 } = feature.baseline.all;
  const high = feature.value > p50;
  const far = unusual(feature);
  if (feature.value >= p25 && feature.value <= p75) return "usual";
  if (feature.value >= p05 && feature.value <= p95) return high ? "rather high" : "rather low";
  return `${far > 2 ? "very " : ""}${high ? "high" : "low"}`;
}

const within = (value, { p05, p95 }) => value >= p05 && value <= p95;

function leaning({ value, baseline: { ham, spam } }) {
  if (within(value, ham) === within(value, spam)) return "";
  return within(value, ham) ? "ham" : "spam";
}

/** Return the columns; environments with the same features and baseline share one. */
function columns() {
  const found = new Map();
  for (const name of answered()) {
    const { features } = answers.get(name).found;
    const key = JSON.stringify(features);
    if (!found.has(key)) found.set(key, { names: [], features: new Map(features.map((each) => [each.name, each])) });
    found.get(key).names.push(name);
  }
  return [...found.values()];
}

function showFeatures() {
  const shown = columns();
  $("seen").hidden = shown.length === 0;
  if ($("seen").hidden) return;
  const names = [...new Set(shown.flatMap((column) => [...column.features.keys()]))];
  const most = (name) => Math.max(...shown.map((column) => (column.features.has(name) ? unusual(column.features.get(name)) : 0)));
  const differs = (name) => new Set(shown.map((column) => column.features.get(name)?.value)).size > 1;
  const order = names.map((name) => [name, most(name) + (differs(name) ? 1000 : 0)]).sort((a, b) => b[1] - a[1]);
  const rows = order.slice(0, showAll ? order.length : SHOWN_AT_FIRST).map(([name]) => row(name, shown, differs(name)));
  const heads = shown.map((column) => element("th", { scope: "col", role: "columnheader" }, column.names.join(" and ")));
  const first = element("th", { scope: "col", role: "columnheader" }, "Number");
  $("features").tHead.replaceChildren(element("tr", { role: "row" }, first, ...heads));
  $("features").tBodies[0].replaceChildren(...rows);
  $("legend").hidden = !shown.some((column) => [...column.features.values()].some((each) => each.baseline));
  $("more").hidden = order.length <= SHOWN_AT_FIRST;
  $("more").setAttribute("aria-expanded", String(showAll));
  $("more").textContent = showAll ? "Show the most unusual only" : `Show all ${order.length} numbers`;
}

function row(name, shown, differs) {
  const known = shown.find((column) => column.features.has(name)).features.get(name);
  const head = element("th", { scope: "row", role: "rowheader" }, element("span", { class: "name" }, name.replaceAll("_", " ")));
  if (differs) head.append(element("span", { class: "differs" }, "differs"), " ");
  head.append(element("span", { class: "muted" }, description(known)));
  const cells = shown.map((column) => {
    const cell = element("td", { role: "cell" });
    if (shown.length > 1) cell.dataset.of = column.names.join(" and ");
    const feature = column.features.get(name);
    cell.append(feature ? measured(feature) : "not seen");
    return cell;
  });
  return element("tr", { role: "row" }, head, ...cells);
}

/** Return a feature's description without its range if it is a share, which is shown in percent. */
const description = ({ name, description: text }) => (name.endsWith("_share") ? text.replace(/, 0 to 1$/, "") : text);

function measured(feature) {
  const made = element("div", { class: "measured" }, element("b", {}, number(feature.value, feature.name)));
  if (!feature.baseline) {
    made.append(element("span", { class: "said" }, "nothing to compare with"));
    return made;
  }
  const { ham, spam } = feature.baseline;
  const said = element("span", { class: "said" }, element("b", {}, words(feature)));
  const leans = leaning(feature);
  if (leans) said.append(", ", element("span", { class: `as-${leans}` }, `as in ${leans}`));
  said.append(` · ham ${range(ham, feature.name)}, spam ${range(spam, feature.name)}`);
  made.append(strip(feature), said);
  return made;
}

function range({ p05, p95 }, name) {
  const [low, high] = [number(p05, name), number(p95, name)];
  return low === high ? low : `${low} to ${high}`;
}

function strip({ name, value, baseline: { ham, spam } }) {
  const least = scale(Math.min(value, ham.p05, spam.p05));
  const most = scale(Math.max(value, ham.p95, spam.p95));
  // A minimum span: if all mails are alike, a tiny difference must not fill the strip.
  const span = Math.max(most - least, scale(name.endsWith("_share") ? 0.01 : 1));
  const at = (x) => (96 * (scale(x) - least)) / span + 2;
  const made = drawn("svg", { class: "strip", "aria-hidden": "true" });
  [["of-ham", ham, 7], ["of-spam", spam, 19]].forEach(([kind, group, y]) => {
    const whole = { x1: `${at(group.p05)}%`, x2: `${at(group.p95)}%`, y1: y, y2: y };
    const width = Math.max(at(group.p75) - at(group.p25), 0.8);
    made.append(drawn("line", { class: `${kind} most`, ...whole }));
    made.append(drawn("rect", { class: `${kind} middle`, x: `${at(group.p25)}%`, width: `${width}%`, y: y - 4, height: 8, rx: 2 }));
  });
  const here = { x1: `${at(value)}%`, x2: `${at(value)}%`, y1: 0, y2: 26 };
  made.append(drawn("line", { class: "halo", ...here }), drawn("line", { class: "value", ...here }));
  return made;
}

// ---------------------------------------------------------------------------------------------
// User actions.

mail.addEventListener("input", () => {
  exact = null;
  mailChanged();
  tell("");
});
$("form").addEventListener("submit", (event) => {
  event.preventDefault();
  judge();
});
$("form").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    judge();
  }
});
$("file").addEventListener("change", async (event) => {
  const files = [...event.target.files];
  if (files.length) await openAll(files, new Set());
  event.target.value = "";
});
mail.addEventListener("paste", (event) => {
  const files = [...(event.clipboardData?.files ?? [])];
  if (!files.length) return;
  event.preventDefault();
  openAll(files, new Set());
});
$("more").addEventListener("click", () => {
  showAll = !showAll;
  showFeatures();
});

for (const [name, text] of Object.entries(EXAMPLES)) {
  const button = element("button", { type: "button" }, name);
  button.addEventListener("click", () => {
    choose("", []);
    put(text);
  });
  $("examples").append(button);
}

// Dropping works anywhere on the page: beside the field, the browser would open the mail instead.
const hasFiles = (event) => event.dataTransfer?.types.includes("Files");
document.addEventListener("dragover", (event) => {
  if (!hasFiles(event)) return;
  event.preventDefault();
  document.body.classList.add("dropping");
});
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) document.body.classList.remove("dropping");
});
document.addEventListener("drop", (event) => {
  document.body.classList.remove("dropping");
  if (!hasFiles(event)) return;
  event.preventDefault();
  const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry?.());
  const folders = new Set(entries.filter((entry) => entry?.isDirectory).map((entry) => entry.name));
  openAll([...event.dataTransfer.files], folders);
});

mailChanged();
