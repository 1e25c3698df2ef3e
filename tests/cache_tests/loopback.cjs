// Keeps the suite's origin on the loopback interface: it listens on all of them otherwise.
const { Server } = require('http')

const listen = Server.prototype.listen
Server.prototype.listen = function (port) {
  return listen.call(this, Number(port), '127.0.0.1')
}
