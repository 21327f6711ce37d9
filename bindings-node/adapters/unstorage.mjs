import unstorage from './unstorage.cjs'

export const { openDBDriver } = unstorage
export default openDBDriver
