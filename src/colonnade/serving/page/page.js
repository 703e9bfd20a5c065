"use strict";
// A picture goes to the server as it is; its answer becomes bars, and a map of where the model looked.

const $ = (id) => document.getElementById(id);
const MOST = 5; // classes
const AT_ONCE = 4; // pictures that are asked about at the same time
const PER_CENT = new Intl.NumberFormat(undefined, { style: "percent", minimumFractionDigits: 1, maximumFractionDigits: 1 });

let models = [];
let key = sessionStorage.getItem("key") || "";

// Asking

async function ask(path, options = {}) {
  const headers = key ? { "X-API-Key": key } : {};
  let response;
  try {
    response = await fetch(path, { ...options, headers });
  } catch {
    throw new Error("The server can't be reached.");
  }
  if (response.ok) return response;
  if (response.status === 401) $("key-form").hidden = false;
  let reason = `The server answered ${response.status}.`;
  try {
    reason = (await response.json()).error || reason;
  } catch { /* an answer of something between us and the server */ }
  if (response.status === 503) reason += ` Try again in ${response.headers.get("Retry-After") || 1} s.`;
  throw new Error(reason);
}

function say(text) {
  $("notice").textContent = text;
  $("notice").hidden = !text;
}

async function begin() {
  try {
    models = (await (await ask("models")).json()).filter((each) => each.classes);
  } catch (error) {
    say(error.message);
    return;
  }
  $("key-form").hidden = true;
  say(models.length ? "" : "No model here classifies pictures.");
  $("model").replaceChildren(...models.map((each) => new Option(each.name, each.name)));
  $("model-choice").hidden = models.length < 2;
  chosen();
}

const model = () => models.find((each) => each.name === $("model").value);

function chosen() {
  const takesGrey = model() && model().shape[0] === 1;
  $("draw").hidden = !takesGrey;
  if (!takesGrey) $("drawing").hidden = true;
}

// Pictures wait in a line, so that a folder of them is not sent at once.
const waiting = [];
let asking = 0;

function add(files) {
  const pictures = [...files].filter((file) => file.type.startsWith("image/") || /\.(png|jpe?g|gif|bmp|tiff?|webp|pgm|ppm)$/i.test(file.name));
  if (files.length && !pictures.length) say("That is no picture.");
  else say("");
  for (const file of pictures) waiting.push([file, card(file)]);
  next();
}

function next() {
  while (asking < AT_ONCE && waiting.length) {
    const [file, article] = waiting.shift();
    asking += 1;
    classify(file, article).finally(() => { asking -= 1; next(); });
  }
}

function card(file) {
  const article = $("card").content.cloneNode(true).firstElementChild;
  const image = article.querySelector("img");
  image.src = URL.createObjectURL(file);
  image.alt = file.name || "a picture";
  image.onload = () => image.classList.toggle("small", image.naturalWidth < 100);
  article.querySelector("h2").textContent = file.name || "picture";
  article.querySelector(".remove").onclick = () => { URL.revokeObjectURL(image.src); article.remove(); };
  $("answers").prepend(article);
  return article;
}

async function classify(file, article) {
  const state = article.querySelector(".state");
  const name = model() ? model().name : "";
  try {
    const response = await ask(`classify?top=${MOST}&model=${encodeURIComponent(name)}`, { method: "POST", body: file });
    const likeliest = (await response.json()).predictions[0].top;
    state.hidden = true;
    article.querySelector("ol").replaceChildren(...likeliest.map((each) => bar(each, file, article, name)));
    await look(likeliest[0].class, file, article, name);
  } catch (error) {
    state.hidden = false;
    state.classList.add("wrong");
    state.textContent = error.message;
  }
}

function bar(likely, file, article, name) {
  const item = document.createElement("li");
  const button = document.createElement("button");
  button.type = "button";
  button.title = "Show what speaks for it";
  button.setAttribute("aria-pressed", "false");
  const parts = { bar: "", name: likely.class, share: PER_CENT.format(likely.probability) };
  for (const [kind, text] of Object.entries(parts)) {
    const part = document.createElement("span");
    part.className = kind;
    part.textContent = text;
    if (kind === "bar") part.style.width = `${100 * likely.probability}%`;
    button.append(part);
  }
  button.dataset.class = likely.class;
  button.onclick = () => look(likely.class, file, article, name);
  item.append(button);
  return item;
}

// Where the model looked

async function look(of, file, article, name) {
  const state = article.querySelector(".state");
  try {
    const path = `explain?class=${encodeURIComponent(of)}&model=${encodeURIComponent(name)}`;
    const map = await createImageBitmap(await (await ask(path, { method: "POST", body: file })).blob());
    overlay(map, article);
    state.hidden = true;
    for (const each of article.querySelectorAll("ol button")) each.setAttribute("aria-pressed", String(each.dataset.class === of));
  } catch (error) {
    state.hidden = false;
    state.textContent = `No map: ${error.message}`;
  }
}

function overlay(map, article) {
  const canvas = article.querySelector(".heat");
  canvas.width = map.width;
  canvas.height = map.height;
  const drawing = canvas.getContext("2d", { willReadFrequently: true });
  drawing.drawImage(map, 0, 0);
  const pixels = drawing.getImageData(0, 0, map.width, map.height);
  for (let at = 0; at < pixels.data.length; at += 4) {
    const heat = pixels.data[at] / 255;
    pixels.data.set([255, 200 * (1 - heat), 0, 255 * heat], at);
  }
  drawing.putImageData(pixels, 0, 0);
  canvas.hidden = false;
  const strength = article.querySelector(".strength");
  strength.hidden = false;
  const slider = strength.querySelector("input");
  slider.oninput = () => { canvas.style.opacity = slider.value / 100; };
  slider.oninput();
}

// Ways to give a picture

$("model").onchange = chosen;
$("files").onchange = (event) => { add(event.target.files); event.target.value = ""; };
$("key-form").onsubmit = (event) => {
  event.preventDefault();
  key = $("key").value;
  sessionStorage.setItem("key", key);
  begin();
};
addEventListener("paste", (event) => { if (event.clipboardData.files.length) add(event.clipboardData.files); });
addEventListener("dragover", (event) => { event.preventDefault(); $("drop").classList.add("over"); });
addEventListener("dragleave", (event) => { if (!event.relatedTarget) $("drop").classList.remove("over"); });
addEventListener("drop", (event) => {
  event.preventDefault();
  $("drop").classList.remove("over");
  if (event.dataTransfer.files.length) add(event.dataTransfer.files);
});

$("photograph").onclick = async () => {
  try {
    $("video").srcObject = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
    $("camera").hidden = false;
    await $("video").play();
    $("shoot").focus();
  } catch (error) {
    if (error.name === "AbortError") return; // it was closed while it began
    say("There is no camera, or it may not be used: browsers give it to pages on this machine or behind HTTPS.");
  }
};
function cameraOff() {
  for (const track of $("video").srcObject?.getTracks() || []) track.stop();
  $("video").srcObject = null;
  $("camera").hidden = true;
}
$("camera-off").onclick = cameraOff;
$("shoot").onclick = () => {
  const still = document.createElement("canvas");
  still.width = $("video").videoWidth;
  still.height = $("video").videoHeight;
  still.getContext("2d").drawImage($("video"), 0, 0);
  still.toBlob((blob) => add([new File([blob], "photograph.jpg", { type: "image/jpeg" })]), "image/jpeg", 0.92);
  cameraOff();
};

// Drawing

const canvas = $("canvas");
const pen = canvas.getContext("2d", { willReadFrequently: true });
let last = null;
let cursor = [140, 140];

function colours() {
  return $("light").checked ? ["#000", "#fff"] : ["#fff", "#000"];
}
function clear() {
  pen.fillStyle = colours()[0];
  pen.fillRect(0, 0, canvas.width, canvas.height);
}
function line(from, to) {
  pen.strokeStyle = colours()[1];
  pen.lineWidth = Number($("pen").value);
  pen.lineCap = pen.lineJoin = "round";
  pen.beginPath();
  pen.moveTo(...from);
  pen.lineTo(...to);
  pen.stroke();
}
function place(event) {
  const box = canvas.getBoundingClientRect();
  return [(event.clientX - box.left) * canvas.width / box.width, (event.clientY - box.top) * canvas.height / box.height];
}
$("draw").onclick = () => {
  const hidden = !$("drawing").hidden;
  $("drawing").hidden = hidden;
  $("draw").setAttribute("aria-expanded", String(!hidden));
  if (!hidden) { clear(); canvas.focus(); }
};
canvas.onpointerdown = (event) => {
  canvas.setPointerCapture(event.pointerId);
  last = place(event);
  line(last, last);
};
canvas.onpointermove = (event) => {
  if (!last) return;
  const here = place(event);
  line(last, here);
  last = here;
};
canvas.onpointerup = canvas.onpointercancel = () => { last = null; };
canvas.onkeydown = (event) => {
  const step = { ArrowLeft: [-8, 0], ArrowRight: [8, 0], ArrowUp: [0, -8], ArrowDown: [0, 8] }[event.key];
  if (!step) return;
  event.preventDefault();
  const from = cursor;
  cursor = cursor.map((value, axis) => Math.min(280, Math.max(0, value + step[axis])));
  if (event.shiftKey) line(from, cursor);
};
$("clear").onclick = clear;
$("light").onchange = clear;
$("ask-drawing").onclick = () => canvas.toBlob((blob) => add([new File([blob], "drawing.png", { type: "image/png" })]));

begin();
