// Write each destination of the npm package @segment/action-destinations as a JSON file.
//
//   npm install --ignore-scripts @segment/action-destinations
//   node library.cjs FOLDER OUT      where FOLDER has node_modules
//
// A function is written as true: what it does is code, which no file can say.

const fs = require('node:fs')
const Module = require('node:module')
const path = require('node:path')

// Some of its destinations load packages that it does not declare; none is needed to read fields.
const nothing = new Proxy(function () {}, {
  get: (_, key) => (key === '__esModule' ? false : key === Symbol.toPrimitive ? () => '' : nothing),
  construct: () => ({})
})
const load = Module._load
Module._load = function (request, ...rest) {
  try {
    return load.call(this, request, ...rest)
  } catch (error) {
    if (error.code === 'MODULE_NOT_FOUND' && error.message.includes(`'${request}'`)) return nothing
    throw error
  }
}

const [folder, out] = process.argv.slice(2)
const library = Module.createRequire(path.resolve(folder, 'package.json'))
const { manifest } = library('@segment/action-destinations')
fs.mkdirSync(out, { recursive: true })
for (const [id, { definition, directory }] of Object.entries(manifest)) {
  const raw = { slug: definition.slug ?? directory, ...definition }
  const text = JSON.stringify(raw, (_, value) => (typeof value === 'function' ? true : value), 1)
  fs.writeFileSync(path.join(out, `${id}.json`), text + '\n')
}
