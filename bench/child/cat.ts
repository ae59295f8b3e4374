/** Sends a file to each client with `cat`, which writes into the socket directly. Prints its port. */
import { spawn } from 'node:child_process'
import { createServer, type AddressInfo } from 'node:net'

const file = process.argv[2] ?? ''
const server = createServer({ pauseOnConnect: true }, (socket) => {
  const cat = spawn('cat', [file], { stdio: ['ignore', socket, 'inherit'] })
  cat.on('exit', () => socket.destroySoon())
})
server.listen(0, '127.0.0.1', () => process.stdout.write(`${(server.address() as AddressInfo).port}\n`))
