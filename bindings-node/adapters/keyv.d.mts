export { KeyvOpenDB as default } from './keyv.cjs'
export * from './keyv.cjs'
