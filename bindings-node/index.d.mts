// The same declarations for programs that import: the classes are the same whichever way they came.
export * from './index.cjs'
import opendb from './index.cjs'
export default opendb
