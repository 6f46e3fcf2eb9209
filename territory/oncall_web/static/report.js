// The report editor: saves by itself, shows what is missing, and never loses what was typed. Works on the form that
// works without it; every save is the same request that the button makes, and the server decides everything.
"use strict";
(function () {
  const form = document.getElementById("report");
  if (!form || !window.fetch || !form.dataset.save) { return; }
  const state = document.getElementById("save-state");
  const words = form.dataset;
  const PAUSE_MS = 1500, RETRY_MS_MAX = 30000, WAIT_MS_MAX = 20000;
  let timer = null, isDirty = false, isSaving = false, isStopped = false, retryMs = 2000;

  function say(text, kind) {
    state.textContent = text;
    state.className = "state " + (kind || "");
  }

  function later(ms) {
    window.clearTimeout(timer);
    if (!isStopped) { timer = window.setTimeout(function () { save(); }, ms); }
  }

  function fill(list, entries, empty) {
    list.textContent = "";
    entries.forEach(function (entry) {
      const item = document.createElement("li");
      item.textContent = entry.text;
      item.className = entry.severity || "";
      list.appendChild(item);
    });
    document.getElementById(empty).hidden = entries.length > 0;
  }

  function show(answer) {
    form.elements.revision.value = answer.revision;
    document.querySelectorAll("[data-field]").forEach(function (part) {
      part.hidden = answer.shown.indexOf(part.dataset.field) < 0;
    });
    document.querySelectorAll("[data-group]").forEach(function (part) {
      part.hidden = !part.querySelector("[data-field]:not([hidden])");
    });
    Object.keys(answer.frames).forEach(function (chapter) {
      const frame = document.getElementById("frame-" + chapter);
      if (frame) { frame.textContent = answer.frames[chapter]; frame.hidden = !answer.frames[chapter]; }
    });
    document.querySelectorAll("[data-error]").forEach(function (part) {
      part.textContent = answer.errors[part.dataset.error] || "";
    });
    fill(document.getElementById("lacks"), answer.lacks, "complete");
    fill(document.getElementById("notices"), answer.notices, "no-notice");
    document.getElementById("until").textContent = answer.until;
  }

  async function save() {
    if (isSaving || isStopped) { return; }
    isSaving = true;
    isDirty = false;
    say(words.saving);
    const giveUp = new AbortController();
    const wait = window.setTimeout(function () { giveUp.abort(); }, WAIT_MS_MAX);
    try {
      const sent = await fetch(words.save, {
        method: "POST", body: new URLSearchParams(new FormData(form)), credentials: "same-origin",
        signal: giveUp.signal
      });
      if (sent.ok) {
        show(await sent.json());
        retryMs = 2000;
        say(isDirty ? words.typing : words.saved);
      } else if (sent.status === 401) {
        say(words.lost, "warn");
        isDirty = true;
      } else if (sent.status === 409) {
        // Another tab, another person, or a signature: nothing of this page is thrown away, and nothing is overwritten.
        const told = await sent.json();
        isStopped = true;
        isDirty = true;
        say(told.error, "warn");
      } else if (sent.status === 422 || sent.status === 400 || sent.status === 403) {
        const told = await sent.json();
        isDirty = true;
        say(told.error || words.away, "warn");
      } else {
        throw new Error("away");
      }
    } catch (error) {
      isDirty = true;
      say(words.away, "warn");
      later(retryMs);
      retryMs = Math.min(retryMs * 2, RETRY_MS_MAX);
    }
    window.clearTimeout(wait);
    isSaving = false;
    if (isDirty && state.className.indexOf("warn") < 0) { later(PAUSE_MS); }
  }

  form.addEventListener("input", function () {
    isDirty = true;
    if (!isStopped) { say(words.typing); later(PAUSE_MS); }
  });
  form.addEventListener("submit", function (event) {
    if (isSaving) {
      // The save that is under way would make this page stale: wait for it.
      event.preventDefault();
      const button = event.submitter;
      window.setTimeout(function () { form.requestSubmit(button); }, 150);
      return;
    }
    window.clearTimeout(timer);
    isStopped = true;
    isDirty = false;
  });
  window.addEventListener("pageshow", function (event) {
    // The page of the history is older than the draft.
    if (event.persisted) { window.location.reload(); }
  });
  window.addEventListener("beforeunload", function (event) {
    if (isDirty) { event.preventDefault(); event.returnValue = ""; }
  });
  document.addEventListener("visibilitychange", function () {
    if (document.visibilityState === "hidden" && isDirty && !isStopped) { window.clearTimeout(timer); save(); }
  });
  say(words.idle);
}());
