// Prints the tests of the suite whose folder this runs in, as JSON.
import { pathToFileURL } from 'node:url'

const load = async file => (await import(pathToFileURL(`${process.cwd()}/tests/${file}`))).default
// As the suite's own client does: this one is not in the index.
const suites = [...await load('index.mjs'), await load('surrogate-control.mjs')]
const tests = suites.flatMap(suite => suite.tests).filter(test => !test.browser_only)
console.log(JSON.stringify(tests.map(test => ({
  id: test.id,
  name: test.name,
  kind: test.kind ?? 'required',
  depends_on: test.depends_on ?? []
}))))
