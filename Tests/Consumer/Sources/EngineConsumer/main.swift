import BalsaLSM

let directory = CommandLine.arguments[1]

// What the README shows of the engine. A test compares the two.
var options = EngineOptions()
options.hasWriteAheadLog = true
let seed = UInt64.random(in: 0 ... .max)
let engine = try StorageEngine.open(directory, fileSystem: LinuxFileSystem(), options: options, seed: seed)

var batch = WriteBatch()
batch.put("user/ada", "Ada Lovelace")
let ticket = try engine.write(batch, syncing: true)
try engine.waitForCommit(of: ticket)  // from here on it survives a power loss
let found = try engine.get("user/ada")
print(found.map { String($0.value) } ?? "nobody")  // Ada Lovelace
engine.close()

try exerciseEngine(directory + "-exercise")
print("done")  // done
