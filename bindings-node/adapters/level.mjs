import level from './level.cjs'

export const { OpenDBLevel } = level
