/// Members of one store that can be asked to make a load.
protocol MeasuredCluster {
    /// Writes every key of a load, and returns when that is done.
    func fill(_ load: ClientLoad) async throws(BenchmarkError)
    /// Has the clients of a load call the leader, and returns the line of the result.
    func run(_ load: ClientLoad) async throws(BenchmarkError) -> String
    /// Ends the members in order.
    func close() async throws(BenchmarkError)
}
