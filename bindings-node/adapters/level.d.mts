export * from './level.cjs'
