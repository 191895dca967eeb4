"use strict";
(() => {
  document.documentElement.classList.add("live");
  const find = (selector) => document.querySelector(selector);
  const all = (selector) => [...document.querySelectorAll(selector)];

  // Copies the command, or marks it where the browser does not let a page copy.
  const copy = find("#copy");
  if (copy) {
    copy.addEventListener("click", async () => {
      const command = find("#command");
      try {
        await navigator.clipboard.writeText(command.textContent);
        copy.textContent = "Copied";
      } catch {
        getSelection().selectAllChildren(command);
        copy.textContent = "Marked";
      }
    });
  }

  const viewer = find(".viewer");
  if (!viewer) return;
  const { slices, colors } = JSON.parse(find("#data").textContent);
  const pixelOf = (color) =>
    new Uint32Array(
      Uint8Array.of(...[1, 3, 5].map((at) => parseInt(color.slice(at, at + 2), 16)), 255).buffer,
    )[0];
  const labelOf = new Map(Object.entries(colors).map(([label, color]) => [pixelOf(color), label]));
  const hidden = new Set();
  const stage = find(".stage");
  const [slice, opacity, outline] = ["#slice", "#opacity", "#outline"].map(find);

  // Paints the labels of one picture on its canvas, without those that are hidden.
  const paint = async (figure) => {
    const source = figure.querySelector("img.labels");
    await source.decode().catch(() => {});
    const { naturalWidth: width, naturalHeight: height } = source;
    let canvas = figure.querySelector("canvas");
    if (!canvas) {
      canvas = document.createElement("canvas");
      source.after(canvas);
      source.style.visibility = "hidden";
    }
    canvas.width = width;
    canvas.height = height;
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(source, 0, 0);
    const picture = context.getImageData(0, 0, width, height);
    const pixels = new Uint32Array(picture.data.buffer);
    const before = pixels.slice();
    for (let i = 0; i < before.length; i += 1) {
      const isEdge =
        ((i + 1) % width && before[i] !== before[i + 1]) ||
        (i + width < before.length && before[i] !== before[i + width]);
      if (hidden.has(labelOf.get(before[i])) || (outline.checked && !isEdge)) pixels[i] = 0;
    }
    context.putImageData(picture, 0, 0);
  };
  const paintAll = () => Promise.all(all(".stage, .cut").map(paint));

  const showSlice = () => {
    const shown = slices[slice ? slice.value : 0];
    const image = stage.querySelector(".image");
    if (image) image.src = shown.image;
    stage.querySelector(".labels").src = shown.labels;
    stage.querySelector(".title").textContent = shown.title;
    stage.style.setProperty("--width", shown.width);
    stage.style.setProperty("--height", shown.height);
    if (slice) slice.setAttribute("aria-valuetext", shown.title);
    for (const line of all(".here")) {
      line.style.top = `${100 * shown.position}%`;
      line.style.visibility = "visible";
    }
    return paint(stage);
  };
  const showOpacity = () => viewer.style.setProperty("--tint", opacity ? opacity.value / 100 : 1);

  for (const button of all("[data-label]")) {
    button.addEventListener("click", () => {
      const label = button.dataset.label;
      const isShown = hidden.delete(label);
      if (!isShown) hidden.add(label);
      button.setAttribute("aria-pressed", isShown);
      paintAll();
    });
  }
  if (slice) slice.addEventListener("input", showSlice);
  if (opacity) opacity.addEventListener("input", showOpacity);
  outline.addEventListener("change", paintAll);
  showOpacity();
  showSlice();
  paintAll();
})();
