// For programs that do not look into the `exports` of a package.
export * from './index.cjs'
