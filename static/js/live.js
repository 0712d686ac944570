// Live updates: a hint that something changed, never the change itself. The page reads fragments
// over HTTP; without a socket it asks every five seconds how far each stream has come, so that
// nothing here is needed for the page to be right.
"use strict";

(() => {
  const BEAT_MS = 10000, POLL_MS = 5000, SETTLE_MS = 150, ECHO_MS = 2200, HIDDEN_MS = 60000, SKEW_MS = 2000;
  const BACKOFF_MS = [1000, 30000];
  const listeners = new Map(); // stream -> Set of callbacks
  const seen = new Map(); // stream -> highest sequence number heard of
  const pending = new Map(); // stream -> the latest frame of those that settle
  const told = new Map(); // stream -> when the page was told last
  const echoes = new Map(); // stream -> timer of the echo
  let socket = null, attempt = 0, retry = 0, lastHeard = Date.now(), dataOf = Date.now();
  let out = false, paused = false, missed = 0, hiddenSince = 0, lost = false, subscribed = "", failing = false;

  const body = document.body;
  const text = document.getElementById("conn-text");
  const banner = document.getElementById("conn-banner-text");
  const clock = (ms) => new Date(ms).toLocaleTimeString([], { hour12: false });

  function wanted() {
    const found = new Set(listeners.keys());
    for (const node of document.querySelectorAll("[hx-trigger*='tick:'],[hx-trigger*='tower:'],[data-live]")) {
      for (const name of (node.dataset.live || "").split(/[\s,]+/)) if (name) found.add(name);
      for (const hit of (node.getAttribute("hx-trigger") || "").matchAll(/(?:tick|tower):([a-z]+(?::[0-9a-f-]+)?)/g)) found.add(hit[1]);
    }
    return [...found].sort();
  }

  function conn(state, words) {
    if (body.dataset.conn !== state) body.dataset.conn = state;
    if (text && text.textContent !== words) text.textContent = words;
  }

  function show() {
    const silence = Date.now() - lastHeard;
    if (out) return;
    if (paused) return conn("paused", missed ? `Paused · ${missed} new` : "Paused");
    if (silence < BEAT_MS) {
      if (socket && socket.readyState === WebSocket.OPEN) return conn("live", "Live");
      return conn(lost ? "polling" : "connecting", lost ? "Live, every 5 s" : "Connecting…");
    }
    const down = silence > 30000;
    conn(down ? "down" : "stale", down ? "Offline" : "Stale");
    const words = `Live updates stopped: stale since ${clock(lastHeard)} – showing data of ${clock(dataOf)}`;
    if (banner && banner.textContent !== words) banner.textContent = words;
  }

  function heard() {
    lastHeard = Date.now();
    failing = false;
    if (out) signedIn();
    if (!paused) dataOf = lastHeard;
    show();
  }

  function dispatch(stream, frame) {
    if (paused) { missed += 1; show(); return; }
    // Not put off by what follows: a stream that never rests is told of as well.
    const settles = pending.has(stream);
    pending.set(stream, frame);
    if (!settles) setTimeout(() => tell(stream), SETTLE_MS);
  }

  function tell(stream) {
    const frame = pending.get(stream);
    pending.delete(stream);
    for (const call of listeners.get(stream) || []) call(frame);
    tick(stream, frame);
    // Parts that ask at most every two seconds drop what comes in between; the last of it is said
    // once more, or they would show what was until something else happens.
    if (Date.now() - (told.get(stream) || 0) < ECHO_MS) {
      clearTimeout(echoes.get(stream));
      echoes.set(stream, setTimeout(() => { if (!paused) tick(stream, frame); }, ECHO_MS));
    }
    told.set(stream, Date.now());
  }

  function tick(stream, frame) {
    for (const kind of ["tick", "tower"]) body.dispatchEvent(new CustomEvent(`${kind}:${stream}`, { detail: frame }));
  }

  // The server's word on how far the streams are: whatever is beyond what we saw was missed.
  function compare(head) {
    for (const [stream, seq] of Object.entries(head)) {
      const before = seen.get(stream);
      seen.set(stream, Math.max(seq, before || 0));
      if (before !== undefined && seq > before) dispatch(stream, { stream, seq, kind: "gap", id: "" });
    }
  }

  function receive(event) {
    let frame;
    try { frame = JSON.parse(event.data); } catch { return; }
    heard();
    attempt = 0;
    if (frame.head) return compare(frame.head);
    // Events can commit out of order, so an older number is news too.
    seen.set(frame.stream, Math.max(frame.seq, seen.get(frame.stream) || 0));
    dispatch(frame.stream, frame);
  }

  function connect() {
    clearTimeout(retry);
    if (out) return;
    const streams = wanted();
    if (!streams.length || document.hidden && hiddenSince && Date.now() - hiddenSince > HIDDEN_MS) return;
    // Elsewhere the server refuses the socket; the page says where it takes one, and asks instead.
    if (!body.dataset.origins.split(" ").includes(location.origin)) {
      lost = true;
      document.getElementById("origin-note").hidden = false;
      return catchUp();
    }
    subscribed = streams.join(",");
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const url = `${scheme}://${location.host}${body.dataset.prefix}/ws/live/?streams=${encodeURIComponent(subscribed)}`;
    const mine = new WebSocket(url);
    socket = mine;
    mine.onopen = () => { catchUp(); };
    mine.onmessage = receive;
    mine.onclose = () => {
      if (socket !== mine) return;
      socket = null;
      lost = true;
      const ceiling = Math.min(BACKOFF_MS[1], BACKOFF_MS[0] * 2 ** attempt++);
      retry = setTimeout(connect, BACKOFF_MS[0] + Math.random() * (ceiling - BACKOFF_MS[0]));
      show();
    };
  }

  // After a gap the heads tell what was missed; asked over HTTP, so that it also works unplugged.
  async function catchUp() {
    const streams = wanted();
    if (!streams.length || document.hidden) return;
    try {
      const answer = await fetch(`${body.dataset.prefix}/events/head/?streams=${encodeURIComponent(streams.join(","))}`, {
        headers: { Accept: "application/json" }, redirect: "manual", cache: "no-store",
      });
      if (answer.headers.get("X-Tower-Login")) return window.tower.loggedOut();
      if (!answer.ok) throw new Error(String(answer.status));
      compare((await answer.json()).head);
      heard();
    } catch { failing = true; show(); }
  }

  // Nothing is updated until somebody is logged in again, in another tab: looked for when this one
  // is looked at.
  function signedOut() {
    out = true;
    conn("down", "Logged out");
    if (banner) banner.textContent = "You are logged out: nothing you see is being updated.";
    clearTimeout(retry);
    if (socket) { const old = socket; socket = null; old.close(); }
  }

  function signedIn() {
    out = false;
    document.dispatchEvent(new CustomEvent("tower:in"));
    if (!socket) connect();
  }

  function refreshSubscription() {
    const streams = wanted().join(",");
    if (!streams || streams === subscribed) return;
    if (socket && socket.readyState === WebSocket.OPEN) {
      socket.send(JSON.stringify({ subscribe: streams.split(",").slice(0, 12) }));
      subscribed = streams;
    } else if (!socket) connect();
  }

  function pause(on) {
    paused = on === undefined ? !paused : on;
    for (const button of document.querySelectorAll("[data-live-pause]")) button.setAttribute("aria-pressed", String(paused));
    const announce = document.getElementById("announce");
    if (announce) announce.textContent = paused ? "Live updates paused" : "Live updates resumed";
    if (!paused) {
      if (missed) for (const stream of wanted()) dispatch(stream, { stream, seq: seen.get(stream) || 0, kind: "resumed", id: "" });
      missed = 0;
      dataOf = Date.now();
    }
    show();
  }

  // A part that was drawn at event n has seen everything up to n.
  for (const node of document.querySelectorAll("[data-live-seq]")) seen.set(node.dataset.live, Number(node.dataset.liveSeq));

  window.tower.live = {
    on(stream, call) {
      if (!listeners.has(stream)) listeners.set(stream, new Set());
      listeners.get(stream).add(call);
      refreshSubscription();
      return () => listeners.get(stream).delete(call);
    },
    pause,
    get paused() { return paused; },
    get failing() { return failing; },
  };

  document.addEventListener("click", (event) => { if (event.target.closest("[data-live-pause]")) pause(); });
  window.tower?.keys?.(body, { l: () => pause() });
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) { hiddenSince = Date.now(); return; }
    hiddenSince = 0;
    catchUp();
    if (!socket) connect();
  });
  addEventListener("focus", () => { if (out) catchUp(); });
  document.addEventListener("tower:out", signedOut);
  addEventListener("online", () => { attempt = 0; catchUp(); if (!socket) connect(); });
  addEventListener("offline", show);
  document.addEventListener("htmx:afterSettle", refreshSubscription);

  setInterval(() => {
    // A socket that says nothing is as good as none.
    if (socket && socket.readyState === WebSocket.OPEN && Date.now() - lastHeard > BEAT_MS) socket.close();
    // A page that nobody looks at gives its socket back: a person may hold only a few.
    if (socket && document.hidden && hiddenSince && Date.now() - hiddenSince > HIDDEN_MS) { const old = socket; socket = null; old.close(); }
    show();
  }, 1000);
  let polls = 0;
  setInterval(() => {
    if (out || socket && socket.readyState === WebSocket.OPEN) { polls = 0; return; }
    catchUp();
    // Heads can't tell of an event that committed late under an older number: now and then, all.
    if (++polls % 6 === 0 && !failing && !document.hidden) for (const stream of wanted()) dispatch(stream, { stream, seq: seen.get(stream) || 0, kind: "poll", id: "" });
  }, POLL_MS);

  // The clock of the server decides; say so when this one is off.
  const skew = Date.now() - Date.parse(body.dataset.now || "");
  if (Math.abs(skew) > SKEW_MS && skew < 300000) body.dataset.skew = String(Math.round(skew / 1000));
  connect();
})();
