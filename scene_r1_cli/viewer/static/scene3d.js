"use strict";
/* The scene in 3D with three.js (version 149: the last whose classic script says nothing in the console; browsers
   block module scripts on file://). Data is window.SCENER1.view3d; drawn only when something has changed. */
(function () {
  const data = window.SCENER1 && window.SCENER1.view3d;
  const place = document.getElementById("view3d");
  if (!data || !place) return;
  const style = getComputedStyle(document.documentElement);
  const color = (name) => new THREE.Color(style.getPropertyValue(name).trim());

  function decode(text, Kind) {
    const raw = atob(text), bytes = new Uint8Array(raw.length);
    for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
    return new Kind(bytes.buffer);
  }
  function cloud(part, size, plain) {
    const geometry = new THREE.BufferGeometry();
    geometry.setAttribute("position", new THREE.BufferAttribute(decode(part.points, Float32Array), 3));
    if (part.colors) geometry.setAttribute("color", new THREE.BufferAttribute(decode(part.colors, Uint8Array), 3, true));
    const look = part.colors ? { size, vertexColors: true } : { size, color: plain };
    return new THREE.Points(geometry, new THREE.PointsMaterial(look));
  }
  function path(points, shade) {
    const geometry = new THREE.BufferGeometry().setFromPoints(points.map((p) => new THREE.Vector3(...p)));
    return new THREE.Line(geometry, new THREE.LineBasicMaterial({ color: shade }));
  }
  function frame(edges, shade) {
    // Lines of WebGL are one pixel wide; thin sticks are seen.
    const made = new THREE.Group(), material = new THREE.MeshBasicMaterial({ color: shade });
    for (const [from, to] of edges) {
      const start = new THREE.Vector3(...from), along = new THREE.Vector3(...to).sub(start);
      const stick = new THREE.Mesh(new THREE.CylinderGeometry(0.012, 0.012, along.length(), 6), material);
      stick.position.copy(start).addScaledVector(along, 0.5);
      stick.quaternion.setFromUnitVectors(new THREE.Vector3(0, 1, 0), along.normalize());
      made.add(stick);
    }
    return made;
  }

  let renderer;
  try {
    renderer = new THREE.WebGLRenderer({ antialias: true, alpha: true });
  } catch (error) {
    place.textContent = "This browser shows no 3D (WebGL): " + error.message;
    return;
  }
  renderer.outputEncoding = THREE.LinearEncoding;
  THREE.ColorManagement.enabled = false;
  const scene = new THREE.Scene(), camera = new THREE.PerspectiveCamera(45, 1, 0.05, 200);
  camera.up.set(0, 0, 1);
  const parts = [];
  if (data.scene) parts.push(["scene", cloud(data.scene, 0.065)]);
  if (data.object) parts.push(["object", cloud(data.object, 0.03, color("--box"))]);
  if (data.predicted) parts.push(["box", frame(data.predicted, color("--predicted"))]);
  if (data.truth) parts.push(["label", frame(data.truth, color("--truth"))]);
  if (data.path) parts.push(["camera path", path(data.path, color("--soft"))]);
  for (const [, part] of parts) scene.add(part);

  const bounds = new THREE.Box3().setFromObject(scene), middle = bounds.getCenter(new THREE.Vector3());
  const reach = Math.max(bounds.getSize(new THREE.Vector3()).length(), 0.5);
  const looks = { corner: [0.8, 0.6], top: [-Math.PI / 2, 1.55], front: [-Math.PI / 2, 0.15], side: [0, 0.15] };
  const found = parts.find(([name]) => name === "box" || name === "label");
  if (found && data.path) {
    // From where the cameras were: what they saw of the object does not lie behind a wall.
    const at = new THREE.Box3().setFromObject(found[1]).getCenter(new THREE.Vector3());
    const mean = (axis) => data.path.reduce((sum, point) => sum + point[axis], 0) / data.path.length;
    looks.corner = [Math.atan2(mean(1) - at.y, mean(0) - at.x), 0.8];
  }
  const view = { yaw: 0, pitch: 0, distance: 1, target: middle.clone() };
  let asked = false;

  function draw() {
    asked = false;
    const level = Math.cos(view.pitch) * view.distance;
    camera.position.set(level * Math.cos(view.yaw), level * Math.sin(view.yaw), Math.sin(view.pitch) * view.distance).add(view.target);
    camera.lookAt(view.target);
    renderer.render(scene, camera);
  }
  function redraw() { if (!asked) { asked = true; requestAnimationFrame(draw); } }
  function turn(yaw, pitch) {
    view.yaw += yaw;
    view.pitch = Math.min(1.55, Math.max(-1.55, view.pitch + pitch));
    redraw();
  }
  function zoom(factor) { view.distance = Math.min(20 * reach, Math.max(0.2, view.distance * factor)); redraw(); }
  function pan(right, up) {
    const step = view.distance / place.clientHeight;
    view.target.addScaledVector(new THREE.Vector3().setFromMatrixColumn(camera.matrix, 0), -right * step);
    view.target.addScaledVector(new THREE.Vector3().setFromMatrixColumn(camera.matrix, 1), up * step);
    redraw();
  }
  function look(name) {
    [view.yaw, view.pitch] = looks[name];
    view.distance = 1.05 * reach / Math.min(1, camera.aspect);
    view.target.copy(middle);
    redraw();
  }
  function focus() {
    const box = new THREE.Box3().setFromObject(found[1]);
    box.getCenter(view.target);
    view.distance = 3 * box.getSize(new THREE.Vector3()).length();
    redraw();
  }
  function resize() {
    const width = place.clientWidth, height = place.clientHeight;
    renderer.setPixelRatio(Math.min(2, window.devicePixelRatio));
    renderer.setSize(width, height);
    camera.aspect = width / height;
    camera.updateProjectionMatrix();
    redraw();
  }

  const fingers = new Map();
  let spread = 0;
  const canvas = renderer.domElement;
  canvas.style.touchAction = "none";
  canvas.addEventListener("contextmenu", (event) => event.preventDefault());
  canvas.addEventListener("pointerdown", function (event) {
    canvas.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, event);
    spread = 0;
  });
  canvas.addEventListener("pointermove", function (event) {
    const before = fingers.get(event.pointerId);
    if (!before) return;
    const x = event.clientX - before.clientX, y = event.clientY - before.clientY;
    fingers.set(event.pointerId, event);
    if (fingers.size === 2) {
      const [a, b] = [...fingers.values()], now = Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY);
      if (spread) zoom(spread / now);
      spread = now;
    } else if (event.shiftKey || event.buttons === 2) pan(x, y);
    else turn(-0.006 * x, 0.006 * y);
  });
  for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, (event) => fingers.delete(event.pointerId));
  canvas.addEventListener("wheel", function (event) {
    event.preventDefault();
    zoom(Math.exp(0.0012 * event.deltaY));
  }, { passive: false });
  const keys = {
    ArrowLeft: () => turn(-0.1, 0), ArrowRight: () => turn(0.1, 0), ArrowUp: () => turn(0, 0.1), ArrowDown: () => turn(0, -0.1),
    "+": () => zoom(0.85), "=": () => zoom(0.85), "-": () => zoom(1.18),
  };
  place.addEventListener("keydown", function (event) {
    if (!keys[event.key] || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    keys[event.key]();
  });

  const controls = document.getElementById("controls3d");
  for (const [name, part] of parts) {
    const label = document.createElement("label"), box = document.createElement("input");
    box.type = "checkbox";
    box.checked = true;
    box.addEventListener("change", function () { part.visible = box.checked; redraw(); });
    label.append(box, " " + name);
    controls.append(label);
  }
  const actions = Object.keys(looks).map((name) => [name, () => look(name)]);
  if (data.predicted || data.truth) actions.push(["to the box", focus]);
  actions.push(["closer", () => zoom(0.75)], ["farther", () => zoom(1.33)]);
  for (const [name, act] of actions) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = name;
    button.addEventListener("click", act);
    controls.append(button);
  }

  place.append(canvas);
  new ResizeObserver(resize).observe(place);
  resize();
  look("corner");
  draw();
  place.dataset.ready = "yes";
})();
