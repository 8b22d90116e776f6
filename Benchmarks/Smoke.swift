/// Runs every workload on a few keys, with a memtable so small that tables are made and merged, and compares every byte.
func runSmoke(in folder: WorkFolder) throws(BenchmarkError) {
    var arguments = StorageArguments()
    arguments.keyCount = 20_000
    arguments.cacheMebibytes = 1
    arguments.bufferMebibytes = 1
    try StorageBenchmark(arguments, in: folder, comparesValues: true, maxSyncs: 50, print: printLine).run()
}
