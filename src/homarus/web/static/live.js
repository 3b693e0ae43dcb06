// Keeps the page true (dashboard contract, 5): one socket says what changed, the fragments that
// declared interest (data-live) are fetched again. Without this script the pages read all the same.

const GAP_MS = 500; // at most one fetch a fragment in this time, always with a trailing one
const STALE_MS = 5000;
const HIDDEN_MS = 5 * 60000;
const BACKOFF_MS = 250;
const BACKOFF_MAX_MS = 10000;
const HELD_MS = 400;
const TICK_MS = 15000;
const END_PX = 60;
const CHORD_MS = 2000;
const SAY_MS = 5000; // what waits is said to screen readers at most this often
const SIGNED_OUT = 4401;

const body = document.body;
const stale = document.getElementById("stale");
const pulse = document.getElementById("pulse");
let seen = Number(body.dataset.seq);
let socket = null;
let heard = Date.now(); // when the stream last said anything
let tries = 0;
let away = 0;

// -- fragments -----------------------------------------------------------------------------

const states = new WeakMap(); // element -> {at, timer, busy, dirty, fails}
const fragments = () => document.querySelectorAll("[data-live]");

function stateOf(el) {
  if (!states.has(el)) states.set(el, { at: -GAP_MS, timer: 0, busy: false, dirty: false, fails: 0 });
  return states.get(el);
}

function wants(el, subject) {
  return el.dataset.live.split(" ").some((word) =>
    word === "*" || word === subject || (!word.includes(":") && subject.startsWith(word + ":")));
}

function touch(el) {
  stateOf(el).dirty = true;
  plan(el);
}

const touchAll = () => fragments().forEach(touch);

function plan(el) {
  const state = stateOf(el);
  if (state.timer || state.busy) return;
  const gap = Math.min(BACKOFF_MAX_MS, GAP_MS * 2 ** state.fails);
  const wait = state.at + gap - performance.now();
  if (wait <= 0) refresh(el);
  else state.timer = setTimeout(() => refresh(el), wait);
}

async function refresh(el) {
  const state = stateOf(el);
  clearTimeout(state.timer);
  Object.assign(state, { at: performance.now(), timer: 0, busy: true, dirty: false });
  const source = el.dataset.src;
  try {
    const answer = await fetch(source, { headers: { accept: "text/html" } });
    if (answer.status === 401) return location.reload();
    if (!answer.ok) throw new Error(String(answer.status));
    const html = await answer.text();
    if (el.isConnected && el.dataset.src === source) await show(el, html);
    else state.dirty = el.isConnected;
    state.fails = 0;
  } catch {
    state.dirty = true; // the store moved and we could not look: try again, later each time
    state.fails += 1;
  }
  state.busy = false;
  if (state.dirty && el.isConnected) plan(el);
}

async function show(el, html) {
  const next = new DOMParser().parseFromString(html, "text/html").getElementById(el.id);
  if (!next || Number(next.dataset.seq) < Number(el.dataset.seq)) return;
  for (const part of el.querySelectorAll("[data-part]")) {
    const fresh = next.querySelector("#" + CSS.escape(part.id));
    if (fresh) keepStill(part, fresh);
  }
  const follows = atEnd(el);
  await window.htmx.swap({ target: el, text: next.outerHTML, swap: "outerMorph", sourceElement: el });
  tick();
  if (follows) scrollTo(0, document.documentElement.scrollHeight);
}

function atEnd(el) { // a thread that is read at its end is followed there
  const part = el.querySelector("[data-follow]");
  const below = document.documentElement.scrollHeight - scrollY - innerHeight;
  return part && below < END_PX && !part.matches(":hover") && getSelection().isCollapsed;
}

// -- nothing moves under pointer, focus or selection ----------------------------------------

const held = new Set();
const rowsOf = (part) => [...part.querySelectorAll("[data-id]")];

function lastInUse(part, rows) {
  const focus = document.activeElement;
  const choice = getSelection();
  const range = choice.isCollapsed ? null : choice.getRangeAt(0);
  let last = -1;
  rows.forEach((row, i) => {
    const box = row.getBoundingClientRect();
    const scrolled = box.top >= 0 && box.top < innerHeight && rows[0].getBoundingClientRect().top < 0;
    if (row.matches(":hover") || row.contains(focus) || (range && range.intersectsNode(row))
        || (scrolled && last < 0)) last = i;
  });
  return last;
}

function keepStill(part, fresh) {
  const rows = rowsOf(part);
  const ids = rows.map((row) => row.dataset.id);
  const next = rowsOf(fresh).map((row) => row.dataset.id);
  const last = part.dataset.release ? -1 : lastInUse(part, rows);
  delete part.dataset.release;
  held.delete(part.id);
  if (ids.slice(0, last + 1).every((id, i) => id === next[i])) return;
  const known = new Set(ids);
  const news = next.filter((id) => !known.has(id)).length;
  const still = part.cloneNode(true);
  const button = still.querySelector("[data-news]");
  button.hidden = false;
  button.textContent = news ? `${news} new` : "changed";
  fresh.replaceWith(still);
  held.add(part.id);
}

function release(part) {
  part.dataset.release = "1";
  touch(part.closest("[data-live]"));
}

setInterval(() => {
  for (const id of held) {
    const part = document.getElementById(id);
    if (part && lastInUse(part, rowsOf(part)) >= 0) continue;
    held.delete(id);
    if (part) release(part);
  }
}, HELD_MS);

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-news]");
  if (button) release(button.closest("[data-part]"));
});

// -- the stream ----------------------------------------------------------------------------

function connect() {
  const url = `${location.origin.replace(/^http/, "ws")}${body.dataset.socket}&after=${seen}`;
  const mine = socket = new WebSocket(url);
  mine.onmessage = (event) => {
    if (mine === socket) listen(JSON.parse(event.data));
  };
  mine.onclose = (event) => {
    if (mine !== socket) return;
    socket = null;
    if (event.code === SIGNED_OUT) return location.reload();
    mark();
    if (!document.hidden || !away) retry();
  };
}

function retry() {
  const most = Math.min(BACKOFF_MAX_MS, BACKOFF_MS * 2 ** tries++);
  setTimeout(() => socket || connect(), most * (0.5 + Math.random() / 2));
}

function listen(frames) {
  const again = tries > 0 || Date.now() - heard > STALE_MS;
  heard = Date.now();
  tries = 0;
  mark();
  if (again || frames.some((frame) => frame.kind === "resync")) touchAll();
  for (const frame of frames) {
    seen = Math.max(seen, frame.seq);
    if (frame.kind === "resync") seen = frame.seq;
    if (frame.subject || frame.kind === "receipt") {
      fragments().forEach((el) => wants(el, frame.subject) && touch(el));
    }
  }
}

function mark() {
  const blind = [...fragments()].some((el) => stateOf(el).fails > 2);
  const late = blind || Date.now() - heard > STALE_MS;
  const live = socket && socket.readyState === WebSocket.OPEN && !late;
  pulse.dataset.state = live ? "live" : "off";
  pulse.querySelector("[data-word]").textContent = live ? "live" : "not live";
  if (stale.hidden !== !late) {
    const time = new Date(heard).toLocaleTimeString([], { hour12: false });
    stale.textContent = late ? `Not live since ${time}, reconnecting.` : "";
    stale.hidden = !late;
  }
  if (late && !blind && socket && socket.readyState === WebSocket.OPEN) {
    socket.close(); // half open: the other end is gone without a word
  }
}

document.addEventListener("visibilitychange", () => {
  clearTimeout(away);
  away = 0;
  if (document.hidden) {
    away = setTimeout(() => socket && socket.close(), HIDDEN_MS);
  } else if (!socket) {
    tries = Math.max(tries, 1); // whatever was missed: fetch it all
    connect();
  }
});

// -- times, and forms that need no button ----------------------------------------------------

const skew = Number(body.dataset.now) - Date.now();

function ago(past) {
  if (past < 45000) return "now";
  const minutes = Math.max(1, Math.round(past / 60000));
  if (minutes < 60) return `${minutes}m`;
  const hours = Math.round(past / 3600000);
  return hours < 48 ? `${hours}h` : `${Math.round(past / 86400000)}d`;
}

function tick() {
  const now = Date.now() + skew;
  for (const el of document.querySelectorAll("time[data-t]")) say(el, ago(now - el.dataset.t));
  for (const el of document.querySelectorAll("time[data-u]")) {
    const left = el.dataset.u - now;
    say(el, left <= 0 ? "over" : `${Math.max(1, Math.round(left / 60000))}m left`);
  }
}

function say(el, text) {
  if (el.textContent !== text) el.textContent = text;
}

document.addEventListener("change", (event) => {
  if (event.target.matches("[data-submit]")) event.target.form.requestSubmit();
});

// -- keys (dashboard contract, 3); off in text fields ------------------------------------------

const press = {
  S: () => document.getElementById("halt")?.click(),
  j: () => step(1),
  k: () => step(-1),
  a: (row) => choose(row, "approve"),
  x: (row) => choose(row, "reject"),
  r: (row) => row?.querySelector("[data-retry]")?.click(),
};

function pageOf(key) {
  const link = document.querySelector(`[data-go="${CSS.escape(key)}"]`);
  return link && (() => link.click());
}

function step(way) {
  const rows = [...document.querySelectorAll("[data-row]")];
  const at = rows.findIndex((row) => row.contains(document.activeElement));
  rows[at < 0 ? 0 : Math.min(rows.length - 1, Math.max(0, at + way))]?.focus();
}

function choose(row, word) { // what asks once more opens; its own button or field comes next
  const el = row?.querySelector(`[data-${word}]`);
  if (!el || el.tagName !== "DETAILS") return el?.click();
  el.open = true;
  el.querySelector("input:not([type=hidden]), button").focus();
}

let chord = -CHORD_MS; // when g was pressed; the next key names a page

document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && event.target.matches("textarea")) {
    return event.target.form.requestSubmit();
  }
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  if (event.target.matches("input, select, textarea")) return;
  const goes = event.timeStamp - chord < CHORD_MS;
  chord = event.key === "g" && !goes ? event.timeStamp : -CHORD_MS;
  const act = goes ? pageOf(event.key) : press[event.key];
  if (!act) return;
  event.preventDefault();
  act(document.activeElement.closest("[data-row]"));
});

// -- a message that is written here survives updates, a reload and a failed send ------------------

const form = document.querySelector("form[data-send]");
if (form) keepWriting(form, form.elements.text, form.querySelector("[data-failed]"));

function keepWriting(form, field, failed) {
  const draft = `draft:${form.elements.company.value}:${form.getAttribute("action")}`;
  let tried = null; // text that may have arrived though no answer came: the same key again is no second one
  let busy = false;
  field.value ||= sessionStorage.getItem(draft) ?? "";
  field.addEventListener("input", () => sessionStorage.setItem(draft, field.value));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (busy) return;
    busy = true;
    const text = field.value;
    if (tried !== null && tried !== text) form.elements.key.value = freshKey();
    tried = text;
    failed.hidden = true;
    const why = await sent(form);
    if (why === null) {
      form.elements.key.value = freshKey();
      tried = null;
      if (field.value === text) {
        field.value = "";
        sessionStorage.removeItem(draft);
      }
      touchAll();
    } else {
      failed.textContent = `Not sent, and kept here. ${why}`;
      failed.hidden = false;
    }
    busy = false;
  });
}

async function sent(form) { // why not; null: it was
  try {
    const fields = new URLSearchParams(new FormData(form));
    const answer = await fetch(form.action, { method: "POST", body: fields, redirect: "manual" });
    if (answer.type === "opaqueredirect") return null;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const said = [...page.querySelectorAll("main > p")].slice(0, 2).map((p) => p.textContent);
    return said.join(" ") || `The daemon answered ${answer.status}.`;
  } catch {
    return "The daemon does not answer. Try again.";
  }
}

const freshKey = () =>
  [...crypto.getRandomValues(new Uint8Array(16))].map((n) => n.toString(16).padStart(2, "0")).join("");

const waiting = () => document.querySelector("#h-waiting .count")?.textContent;
let told = waiting();
setInterval(() => {
  if (waiting() === told) return;
  told = waiting();
  say(document.getElementById("said"), `${told} waiting for you`);
}, SAY_MS);
setInterval(mark, 500);
setInterval(() => {
  if (document.hidden || !socket) return;
  tick();
  for (const el of document.querySelectorAll("[data-every]")) { // heartbeats are no events
    if (performance.now() - stateOf(el).at > el.dataset.every * 1000) touch(el);
  }
}, TICK_MS);
connect();
