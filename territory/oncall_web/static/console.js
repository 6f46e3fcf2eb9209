// The radiographer's page: asks again by itself, never while somebody types, and says when the connection is lost.
// It only puts in place what the same address answers; without it the page is reloaded by hand.
"use strict";
(function () {
  const page = document.getElementById("console");
  if (!page || !window.fetch) { return; }
  const refreshMs = Number(page.dataset.refreshMs), LOST_AFTER = 3, WAIT_MS_MAX = 8000, NAME = "telegarde-radiographer";
  const title = document.title;
  let failures = 0;

  function isTyping() {
    const active = document.activeElement;
    const isInField = active && /^(INPUT|TEXTAREA|SELECT)$/.test(active.tagName);
    const typed = Array.from(page.querySelectorAll("input[type=text], textarea"));
    return isInField || typed.some(function (one) { return one.name !== "radiographer" && one.value !== ""; }) ||
      page.querySelector("details[open]") !== null;
  }

  function remember() {
    page.querySelectorAll("input[name=radiographer]").forEach(function (one) {
      if (!one.value) { one.value = window.sessionStorage.getItem(NAME) || ""; }
      one.addEventListener("change", function () { window.sessionStorage.setItem(NAME, one.value); });
    });
    const waiting = page.querySelectorAll(".list .mark.alarm").length;
    document.title = waiting ? "(" + waiting + ") " + title : title;
  }

  function lost() {
    failures += 1;
    if (failures >= LOST_AFTER) { document.getElementById("stale").hidden = false; }
  }

  function refresh() {
    const ends = new AbortController();
    const timer = window.setTimeout(function () { ends.abort(); }, WAIT_MS_MAX);
    window.fetch(window.location.href.replace(/&done=[^&]*/, ""), { signal: ends.signal, credentials: "same-origin" })
      .then(function (answer) {
        if (!answer.ok) { throw new Error("refused"); }
        return answer.text();
      })
      .then(function (text) {
        const found = new DOMParser().parseFromString(text, "text/html").getElementById("console");
        if (!found) { throw new Error("another page"); }
        failures = 0;
        document.getElementById("stale").hidden = true;
        if (!isTyping()) {
          page.innerHTML = found.innerHTML;
          page.dataset.state = found.dataset.state;
          remember();
        } else {
          document.getElementById("changed").hidden = found.dataset.state === page.dataset.state;
        }
      })
      .catch(lost)
      .finally(function () {
        window.clearTimeout(timer);
        window.setTimeout(refresh, refreshMs);
      });
  }

  remember();
  window.setTimeout(refresh, refreshMs);
}());
