// Keeps a page up to date without a reload: every few seconds it fetches the page again and updates what differs in the
// parts marked `data-live`. Logs are followed as they grow. Without this script a page refreshes itself, and everything
// on it works.
"use strict";

const SHORTEST_PAUSE = 2500;
const SLOWNESS = 20; // a pause is at least this many times as long as the fetch took
const LONGEST_PAUSE = 60000;
const LOG_KEPT = 200000;

const word = document.getElementById("live-word");
const button = document.getElementById("live-button");
let paused = false;
let timer = 0;

// Makes `old` equal to `fresh` and changes only what differs, so that focus, selections and scroll positions stay.
function morph(old, fresh) {
    if (old.nodeType !== fresh.nodeType || old.nodeName !== fresh.nodeName || old.id !== fresh.id) {
        old.replaceWith(fresh);
        return;
    }
    if (old.nodeType !== Node.ELEMENT_NODE) {
        if (old.nodeValue !== fresh.nodeValue) old.nodeValue = fresh.nodeValue;
        return;
    }
    if (old.hasAttribute("data-followed")) return;
    for (const { name } of [...old.attributes]) {
        if (!fresh.hasAttribute(name) && !(old.nodeName === "DETAILS" && name === "open")) old.removeAttribute(name);
    }
    for (const { name, value } of fresh.attributes) {
        if (old.getAttribute(name) !== value) old.setAttribute(name, value);
    }
    morphChildren(old, [...fresh.childNodes]);
}

// What an element is about: two elements with the same key are the same row, wherever they are.
function keyOf(node) {
    return node.id || node.dataset?.key;
}

// A row keeps its element when other rows are added or removed before it, so that the focus, a selection or a click
// does not hit another row. Elements without a key are matched by their position.
function morphChildren(old, after) {
    const wanted = new Set(after.map(keyOf).filter(Boolean));
    const known = new Map();
    for (const child of [...old.childNodes]) {
        const key = keyOf(child);
        if (key && !wanted.has(key)) child.remove();
        else if (key) known.set(key, child);
    }
    let place = old.firstChild;
    const drop = () => {
        const next = place.nextSibling;
        place.remove();
        place = next;
    };
    for (const fresh of after) {
        const key = keyOf(fresh);
        const same = key ? known.get(key) : place && !keyOf(place) ? place : null;
        if (!same) {
            old.insertBefore(fresh, place);
            continue;
        }
        known.delete(key);
        while (key && place && !keyOf(place)) drop(); // so that the row need not move
        if (same === place) place = place.nextSibling;
        else old.insertBefore(same, place);
        morph(same, fresh);
    }
    while (place) drop();
}

function showStatus(text) {
    if (word.textContent !== text) word.textContent = text;
}

async function update() {
    const begun = performance.now();
    try {
        const reply = await fetch(location.href, { headers: { Accept: "text/html" }, redirect: "error" });
        const fresh = new DOMParser().parseFromString(await reply.text(), "text/html");
        if (!reply.ok) throw new Error(fresh.title || String(reply.status));
        if (!paused) {
            const focused = document.activeElement;
            for (const part of document.querySelectorAll("[data-live]")) {
                const other = fresh.getElementById(part.id);
                if (other) morph(part, other);
            }
            if (focused.isConnected && focused !== document.activeElement) focused.focus({ preventScroll: true });
            follow();
            showStatus("Live");
        }
    } catch {
        showStatus("Not updated: the server did not answer. Trying again.");
    }
    schedule(Math.min(LONGEST_PAUSE, Math.max(SHORTEST_PAUSE, SLOWNESS * (performance.now() - begun))));
}

function schedule(pause) {
    clearTimeout(timer);
    if (!paused && !document.hidden) timer = setTimeout(update, pause);
}

async function followLog(pre) {
    const decoder = new TextDecoder();
    let next = Number(pre.dataset.next);
    pre.scrollTop = pre.scrollHeight;
    while (pre.isConnected) {
        if (paused || document.hidden) {
            await new Promise((resolve) => setTimeout(resolve, 1000));
            continue;
        }
        try {
            const reply = await fetch(`${pre.dataset.log}?offset=${next}&wait=25`);
            if (!reply.ok) throw new Error(String(reply.status));
            const text = decoder.decode(await reply.arrayBuffer(), { stream: true });
            next = Number(reply.headers.get("Log-Next"));
            const atEnd = pre.scrollHeight - pre.scrollTop - pre.clientHeight < 40;
            if (text) pre.append(text);
            if (pre.textContent.length > LOG_KEPT) pre.textContent = pre.textContent.slice(-LOG_KEPT / 2);
            if (atEnd) pre.scrollTop = pre.scrollHeight;
        } catch {
            await new Promise((resolve) => setTimeout(resolve, 5000));
        }
    }
}

// Starts to follow the logs that are not followed yet.
function follow() {
    for (const pre of document.querySelectorAll("[data-log]:not([data-followed])")) {
        pre.dataset.followed = "";
        followLog(pre);
    }
}

button.addEventListener("click", () => {
    paused = !paused;
    button.textContent = paused ? "Resume updates" : "Pause updates";
    showStatus(paused ? "Paused" : "Live");
    schedule(0);
});
document.addEventListener("visibilitychange", () => schedule(0));

// The sentence about what was done is shown once, not after each reload.
if (new URLSearchParams(location.search).has("done")) history.replaceState(null, "", location.pathname);

button.hidden = false;
showStatus("Live");
follow();
schedule(SHORTEST_PAUSE);
