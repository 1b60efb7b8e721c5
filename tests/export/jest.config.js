module.exports = {
  testEnvironment: 'node',
  rootDir: 'out',
  testMatch: ['<rootDir>/all.test.js'],
  haste: { enableSymlinks: false },
  cache: false,
  transform: {}
}
