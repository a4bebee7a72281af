// The node workload: objects, strings, buffers, a map. work.js COUNT.
const count = Number(process.argv[2]);
let state = 42;

function number(below) {
  state = (state * 1103515 + 12345) % 2147483648;
  return Math.floor(state / 65536) % below;
}

const words = ["granule", "page", "block", "guard", "slab", "heap", "cache", "thread"];
const totals = new Map();
const kept = [];
for (let index = 0; index < count; index++) {
  const word = words[number(words.length)] + number(500);
  const item = { index, word, tags: [number(9), number(9)], note: word.repeat(number(5)) };
  totals.set(word, (totals.get(word) ?? 0) + item.note.length);
  if (index % 7 === 0) kept.push(Buffer.from(JSON.stringify(item)));
}
const sorted = [...totals].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
console.log(sorted.slice(0, 20).map(([word, total]) => `${word}=${total}`).join(" "));
const joined = Buffer.concat(kept);
console.log(joined.length, require("crypto").createHash("sha256").update(joined).digest("hex"));
const packed = require("zlib").deflateSync(joined);
console.log(require("zlib").inflateSync(packed).equals(joined));
