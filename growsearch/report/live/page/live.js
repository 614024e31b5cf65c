// What does the run do now? The status is asked for every second; the report, the same page as
// report.html, is loaded again behind the one that is seen when the ledger has changed.
const POLL_MS = 1000, IDLE_MS = 5000, LOAD_MS = 120000;
const byId = (id) => document.getElementById(id);
const clock = (seconds) => {
  const whole = Math.floor(seconds), two = (n) => String(n).padStart(2, "0");
  const hours = Math.floor(whole / 3600), minutes = Math.floor(whole / 60) % 60;
  return hours ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
};
const STATES = { running: "running", finished: "finished", time_up: "ended by its time budget",
  interrupted: "stopped by Ctrl-C or a signal", failed: "stopped by an error",
  gone: "stopped without a word", unknown: "unknown", unreadable: "cannot be read",
  waiting: "waiting" };
let shown = null, loading = null, frame = null, firstHash = null;

function meter(share) {
  const bar = document.createElement("span"), fill = document.createElement("span");
  bar.className = "meter";
  fill.style.width = `${100 * share}%`;
  bar.append(fill);
  return bar;
}

function valueWords(name, value) {
  return name === "accuracy" ? `${(100 * value).toFixed(2)} %` : `${name} ${Number(value.toPrecision(4))}`;
}

function trialItem(trial) {
  const item = document.createElement("li"), id = document.createElement("code");
  id.textContent = trial.id;
  const values = Object.entries(trial.values).slice(0, 1).map(([name, value]) =>
    valueWords(name.replace(/^learned_/, ""), value) + (name.startsWith("learned_") ? " of learned examples" : ""));
  let at = "no word yet";
  if (trial.phase === "measuring") at = "trained, now measured";
  else if (trial.phase === "preparing") at = "being prepared";
  else if (trial.phase) {
    const known = trial.share !== null;
    const epoch = known ? Math.min(trial.epoch + 1, trial.epochs) : trial.epoch + 1;
    at = `epoch ${epoch}${known ? ` of ${trial.epochs}` : ""}`;
  }
  item.append(id, ` ${trial.made_by}: ${[at, ...values].join(", ")}`);
  if (trial.share !== null) item.append(meter(trial.share));
  return item;
}

function counts(status) {
  const { trials, repeats, time, search } = status, done = trials.finished + trials.failed + trials.stopped_early;
  const parts = [`${done}${trials.wanted === null ? "" : ` of ${trials.wanted}`} trials`];
  if (trials.failed) parts.push(`${trials.failed} failed`);
  if (trials.stopped_early) parts.push(`${trials.stopped_early} stopped early`);
  if (trials.running) parts.push(`${trials.running} running${trials.at_once > 1 ? ` (of ${trials.at_once} at once)` : ""}`);
  if (repeats && repeats.wanted) parts.push(`repeats of the front: ${repeats.done} of ${repeats.wanted} done`);
  for (const folder of status.finishing) parts.push(`finish at work in ${folder}`);
  parts.push(`${clock(time.spent_s)} spent`);
  if (search.alive) {
    if (time.left_s === null) parts.push(`time left not known: ${time.left_from}`);
    else if (time.left_s === 0) parts.push(`at its end: ${time.left_from}`);
    else parts.push(`about ${clock(time.left_s)} left (from ${time.left_from})`);
  } else if (search.alive === null) {
    parts.push(`no sign of life since ${search.last_sign || "its start"}`);
  } else if (search.end_words) parts.push(search.end_words);
  return parts.join(" · ");
}

function showStatus(status, message) {
  const state = status ? status.state : message.state;
  document.documentElement.dataset.state = state;
  byId("state").textContent = status ? `${status.name}: ${STATES[state] || state}` : STATES[state] || state;
  byId("counts").textContent = status ? counts(status) : frame ? message.text : "";
  byId("counts").title = status ? status.search.how : "";
  byId("whole").hidden = !status || !status.trials.wanted;
  const again = status && status.repeats && status.repeats.running;
  const items = status ? [...status.running, ...(again ? [{ ...again, made_by: "with another seed" }] : [])] : [];
  byId("running").replaceChildren(...items.map(trialItem));
  if (!status) return;
  const { trials } = status, done = trials.finished + trials.failed + trials.stopped_early;
  const under = status.running.reduce((sum, trial) => sum + (trial.share || 0), 0);
  const share = trials.wanted ? Math.min(1, (done + under) / trials.wanted) : 0;
  byId("whole").firstElementChild.style.width = `${100 * share}%`;
  byId("whole").setAttribute("aria-valuenow", String(Math.round(100 * share)));
  document.title = `${done}${trials.wanted === null ? "" : `/${trials.wanted}`} ${status.name}: growsearch`;
}

function showMessage(text) {
  byId("message").textContent = text;
  byId("message").hidden = !text || frame !== null;
}

// What was looked at stays in view: the address behind # once somebody has chosen something there,
// and how far the page was scrolled.
function loadReport(stamp) {
  const next = document.createElement("iframe");
  loading = next;
  next.title = "Report of the run";
  next.className = "next";
  const hash = frame && frame.contentWindow.location.hash;
  next.src = `report?at=${encodeURIComponent(stamp)}${hash && hash !== firstHash ? hash : ""}`;
  // Whatever comes of it, the next look may try again: what did not come is no page to show.
  const end = (take) => {
    if (next !== loading) return;
    try {
      if (!take || !isReport(next)) throw new Error("no report came");
      if (frame) next.contentWindow.scrollTo(frame.contentWindow.scrollX, frame.contentWindow.scrollY);
      else showMessage("");
      if (!hash || hash === firstHash) firstHash = next.contentWindow.location.hash;
      next.className = "";
      if (frame) frame.remove();
      frame = next;
      shown = stamp;
      followTheme();
      byId("message").hidden = true;
    } catch {
      if (frame !== next) next.remove();
    } finally {
      loading = null;
    }
  };
  next.addEventListener("load", () => end(true));
  next.addEventListener("error", () => end(false));
  setTimeout(() => end(false), LOAD_MS);
  byId("view").append(next);
}

// The browser's own page about an error is no document that may be read; a refusal is plain text.
function isReport(each) {
  const page = each.contentDocument;
  return page !== null && page.contentType === "text/html" && page.getElementById("summary") !== null;
}

function followTheme() {
  const theme = frame && frame.contentDocument && frame.contentDocument.documentElement.dataset.theme;
  const dark = theme ? theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.theme = dark ? "dark" : "light";
}

async function look() {
  let wait = POLL_MS;
  try {
    const reply = await fetch("status.json", { cache: "no-store" });
    if (!reply.ok) throw new Error(`status ${reply.status}`);
    const { status, message, page } = await reply.json();
    showStatus(status, message);
    if (message) showMessage(message.text);
    if (page !== null && page !== shown && !loading) loadReport(page);
    if (status && status.state !== "running") wait = IDLE_MS;
  } catch {
    document.documentElement.dataset.state = "unknown";
    byId("state").textContent = "not connected";
    byId("counts").textContent = "growsearch watch has ended here; the page shows what it last saw";
    wait = IDLE_MS;
  }
  followTheme();
  setTimeout(look, wait);
}

followTheme();
look();
