// Shows times in the reader's zone, and the live view. Every page works without it.
"use strict";

(function () {
  const zoned = new Intl.DateTimeFormat(undefined, {
    year: "numeric", month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit",
  });

  function localTimes(root) {
    for (const one of root.querySelectorAll("time[datetime]:not([data-local])")) {
      const at = new Date(one.dateTime);
      if (!Number.isNaN(at.getTime())) {
        one.title = one.title + " (UTC)";
        one.textContent = zoned.format(at);
        one.dataset.local = "yes";
      }
    }
  }

  // The plots are drawn in UTC. Their times that are shorter than a day are told in the zone of the
  // reader, as all other times; days are those of UTC, by which the store counts.
  const hours = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });

  function localPlots(root) {
    for (const plot of root.querySelectorAll("figure.plot:not([data-local])")) {
      const ticks = plot.querySelectorAll("text[data-time]");
      for (const one of ticks) {
        one.textContent = hours.format(new Date(one.dataset.time));
      }
      const zone = plot.querySelector(".zone");
      if (ticks.length && zone) {
        zone.textContent = "times in your zone";
      }
      plot.dataset.local = "yes";
    }
  }

  function cell(row, name, label, long) {
    const found = document.createElement(name);
    found.setAttribute("role", name === "th" ? "rowheader" : "cell");
    if (label) {
      found.dataset.label = label;
    }
    if (long) {
      found.className = "long";
    }
    row.append(found);
    return found;
  }

  // Only text is put in, never markup.
  function liveRow(one) {
    const row = document.createElement("tr");
    row.setAttribute("role", "row");
    const head = cell(row, "th");
    head.scope = "row";
    const link = document.createElement("a");
    link.href = "/deliveries/" + Number(one.id);
    link.textContent = String(one.id);
    head.append(link);
    const time = document.createElement("time");
    time.dateTime = new Date(one.at * 1000).toISOString();
    time.title = time.dateTime;
    time.textContent = one.time;
    cell(row, "td", "Accepted").append(time);
    const event = cell(row, "td", "Event");
    event.textContent = one.event || one.detail;
    if (one.event) {
      const detail = document.createElement("span");
      detail.className = "note";
      detail.textContent = one.detail;
      event.append(" ", detail);
    }
    cell(row, "td", "User").textContent = one.user;
    cell(row, "td", "Goes to").textContent = one.goes_to;
    const badge = document.createElement("span");
    badge.className = "badge kind-" + one.status.replace(/[^a-z]/g, "");
    badge.textContent = one.status;
    cell(row, "td", "Status").append(badge);
    cell(row, "td", "Reason", true).textContent = one.reason;
    return row;
  }

  function live(place) {
    const body = place.querySelector("tbody");
    const state = document.getElementById("live-state");
    // Without scripts nothing could be paused, so the page itself has no button.
    const pause = document.createElement("button");
    pause.id = "live-pause";
    pause.type = "button";
    pause.textContent = "Pause";
    pause.setAttribute("aria-pressed", "false");
    const paragraph = document.createElement("p");
    paragraph.append(pause);
    state.after(paragraph);
    let paused = false;
    let missed = 0;
    const source = new EventSource(place.dataset.source);
    source.onopen = function () {
      state.textContent = "Connected: new events appear at the top.";
    };
    source.onerror = function () {
      state.textContent = source.readyState === EventSource.CLOSED
        ? "The connection ended: load the page again." : "Connecting again …";
    };
    source.onmessage = function (message) {
      const sent = JSON.parse(message.data);
      if (paused) {
        missed += sent.rows.length + sent.left_out;
        state.textContent = "Paused; " + missed + " were not shown.";
        return;
      }
      const waits = place.querySelector(".waits");
      if (waits) {
        waits.remove();
      }
      for (const one of sent.rows) {
        body.prepend(liveRow(one));
      }
      while (body.rows.length > 200) {
        body.lastElementChild.remove();
      }
      localTimes(body);
      state.textContent = sent.left_out || sent.more
        ? "Connected: there are more than can be shown, so this is a sample." : "Connected: new events appear at the top.";
    };
    pause.addEventListener("click", function () {
      paused = !paused;
      missed = 0;
      pause.setAttribute("aria-pressed", String(paused));
      state.textContent = paused ? "Paused." : "Connected: new events appear at the top.";
    });
    window.addEventListener("pagehide", function () { source.close(); });
  }

  function localAll() {
    localTimes(document);
    localPlots(document);
  }

  // What was done is said once: its token is of no use in an address that is shared or kept.
  const here = new URL(window.location.href);
  if (here.searchParams.has("said")) {
    here.searchParams.delete("said");
    window.history.replaceState(window.history.state, "", here);
  }

  localAll();
  document.addEventListener("htmx:afterSettle", localAll);
  const place = document.getElementById("live");
  if (place && place.dataset.source && "EventSource" in window) {
    live(place);
  }
})();
