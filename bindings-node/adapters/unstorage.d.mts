export { openDBDriver as default } from './unstorage.cjs'
export * from './unstorage.cjs'
