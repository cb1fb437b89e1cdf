"use strict";
// Lays the two pictures of a figure over one another. Without it the page shows the same figures side by side.
for (const box of document.querySelectorAll(".picture[data-before]")) {
  const whole = box.querySelector("img");
  const [width, height] = ["width", "height"].map((name) => Number(whole.getAttribute(name)));
  const button = document.createElement("button");
  button.type = "button";
  const names = [box.dataset.swipe, box.dataset.whole];
  button.textContent = names[0];
  box.before(button);
  let stage = null;

  const layer = (place, share) => {
    const [left, top, right, bottom] = place.split(" ").map(Number);
    const part = document.createElement("div");
    const copy = new Image();
    copy.src = whole.src;
    copy.alt = "";
    copy.style.width = `${100 / (right - left)}%`;
    copy.style.left = `${-100 * left / (right - left)}%`;
    copy.style.top = `${-100 * top / (bottom - top)}%`;
    part.append(copy);
    share.style.aspectRatio = `${(right - left) * width} / ${(bottom - top) * height}`;
    share.append(part);
    return part;
  };

  const build = () => {
    const made = document.createElement("div");
    const swipe = document.createElement("div");
    swipe.className = "swipe";
    swipe.setAttribute("role", "img");
    swipe.setAttribute("aria-label", whole.alt);
    layer(box.dataset.before, swipe);
    const later = layer(box.dataset.after, swipe);
    const edge = document.createElement("i");
    swipe.append(edge);
    const hand = document.createElement("label");
    hand.className = "hand";
    const slider = document.createElement("input");
    slider.type = "range";
    slider.min = "0";
    slider.max = "100";
    slider.value = "50";
    slider.setAttribute("aria-label", box.dataset.share);
    hand.append(box.dataset.earlier, slider, box.dataset.later);
    const show = () => {
      later.style.clipPath = `inset(0 0 0 ${slider.value}%)`;
      edge.style.left = `${slider.value}%`;
    };
    const drag = (event) => {
      const area = swipe.getBoundingClientRect();
      slider.value = String(Math.round(100 * (event.clientX - area.left) / area.width));
      show();
    };
    slider.addEventListener("input", show);
    swipe.addEventListener("pointerdown", (event) => { swipe.setPointerCapture(event.pointerId); drag(event); });
    swipe.addEventListener("pointermove", (event) => { if (event.buttons) drag(event); });
    show();
    made.append(swipe, hand);
    return made;
  };

  button.addEventListener("click", () => {
    if (stage) {
      stage.remove();
      stage = null;
    } else {
      stage = build();
      box.append(stage);
    }
    whole.hidden = stage !== null;
    button.textContent = names[stage ? 1 : 0];
  });
}
