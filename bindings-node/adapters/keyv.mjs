import keyv from './keyv.cjs'

export const { KeyvOpenDB } = keyv
export default KeyvOpenDB
