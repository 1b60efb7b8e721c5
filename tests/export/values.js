// What the modules of an exported folder make of values.
//
//   node values.js FOLDER < request      where FOLDER has compiled modules
//
// The request is {conversions, expressions}: lists of {word, value}, and of {pattern, texts}. The answer has a
// list for each: what became of the value, in a list that is empty where it is refused, and in which texts the
// expression is found.

const { readFileSync } = require('node:fs')
const { resolve } = require('node:path')

const folder = resolve(process.argv[2])
const { convert } = require(resolve(folder, 'conversions.js'))
const { expression } = require(resolve(folder, 'schemas.js'))

function converted({ word, value }) {
  try {
    return [convert({ '@path': '$.value' }, [word], { value })]
  } catch (error) {
    if (error.status !== 400) {
      throw error
    }
    return []
  }
}

const { conversions, expressions } = JSON.parse(readFileSync(0, 'utf8'))
console.log(
  JSON.stringify({
    conversions: conversions.map(converted),
    expressions: expressions.map(({ pattern, texts }) => texts.map((text) => expression(pattern).test(text)))
  })
)
