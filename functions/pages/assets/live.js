// Keeps a page as the farm is, without a reload: every few seconds the page is fetched again, and what is different in
// the parts marked `data-live` is put in place. Logs are followed as they grow. Without this script a page refreshes
// itself, and everything on it works.
"use strict";

const SHORTEST_PAUSE = 2500;
const SLOWNESS = 20; // pauses are at least so many times as long as the fetch took
const LONGEST_PAUSE = 60000;
const LOG_KEPT = 200000;

const word = document.getElementById("live-word");
const button = document.getElementById("live-button");
let paused = false;
let timer = 0;

// Makes `old` what `fresh` is, and touches no more than that: the focus, selections and scrolled places stay.
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

// What an element is about: two with the same key are the same row, in whatever place.
function keyOf(node) {
    return node.id || node.dataset?.key;
}

// A row stays the row it was, also when others come before it: a hand that is about to click, the focus and a selection
// stay with what they were for. Those without a key are told by their place.
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
        while (key && place && !keyOf(place)) drop(); // so that the row need not be moved
        if (same === place) place = place.nextSibling;
        else old.insertBefore(same, place);
        morph(same, fresh);
    }
    while (place) drop();
}

function say(text) {
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
            say("Live");
        }
    } catch {
        say("Not updated: the server did not answer; trying again");
    }
    plan(Math.min(LONGEST_PAUSE, Math.max(SHORTEST_PAUSE, SLOWNESS * (performance.now() - begun))));
}

function plan(pause) {
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

// Begins to follow the logs that are not followed yet.
function follow() {
    for (const pre of document.querySelectorAll("[data-log]:not([data-followed])")) {
        pre.dataset.followed = "";
        followLog(pre);
    }
}

button.addEventListener("click", () => {
    paused = !paused;
    button.textContent = paused ? "Resume updates" : "Pause updates";
    say(paused ? "Paused" : "Live");
    plan(0);
});
document.addEventListener("visibilitychange", () => plan(0));

// What was done is told once, not again after each reload.
if (new URLSearchParams(location.search).has("done")) history.replaceState(null, "", location.pathname);

button.hidden = false;
say("Live");
follow();
plan(SHORTEST_PAUSE);
