import BalsaKeyValue
import BalsaPlatform
import BalsaRaft
import BalsaTransport
import BalsaWire

extension ReplicatedStore {
    /// Opens a store of one member, without ports: every write is durable on this machine when it returns.
    ///
    /// - Parameters:
    ///   - directory: where its files are; created where it does not exist. Nothing else may be there.
    ///   - options: how it is set up.
    ///   - runtime: the threads.
    /// - Throws: ``StoreError`` where the directory cannot be used, with a message that says why and names the file.
    public static func open(
        at directory: String,
        options: StoreOptions = StoreOptions(),
        runtime: StoreRuntime = .shared
    ) async throws(StoreError) -> ReplicatedStore {
        try await open(directory, member: 1, peers: [], network: nil, options, runtime)
    }

    /// Opens a member of a store that several machines share.
    ///
    /// - Parameters:
    ///   - directory: where the member's files are; created where it does not exist. Nothing else may be there.
    ///   - member: which member this is; not 0, and never used for another machine.
    ///   - peers: where the members are reached, this one included: `host:port`. Who they are counts when the store is opened
    ///     for the first time, and must then be the same on all of them; later on, only where they are.
    ///   - listen: where this member listens, if that is not where it is reached.
    ///   - security: what protects the connections; `.loopbackOnly` where all of them stay on this machine.
    ///   - options: how it is set up.
    ///   - runtime: the threads.
    /// - Throws: ``StoreError`` where directory, addresses or options cannot be used, with a message that says why.
    ///
    /// The first time, the store is *recovering* until all members have been started, and calls wait for that. A member whose
    /// directory is not what the others know it to be (emptied, set back, copied, of another cluster) is refused by them:
    /// its state is *failed* then, with a sentence that says what to do.
    public static func open(
        at directory: String,
        member: MemberID,
        peers: [MemberID: String],
        listen: String? = nil,
        security: NetworkSecurity = .loopbackOnly,
        options: StoreOptions = StoreOptions(),
        runtime: StoreRuntime = .shared
    ) async throws(StoreError) -> ReplicatedStore {
        let (addresses, network) = try network(member, peers, listen, security, options)
        return try await open(directory, member: member, peers: addresses, network: network, options, runtime)
    }

    /// The addresses of the members and what the transport is to do, from what a caller wrote.
    static func network(
        _ member: MemberID,
        _ peers: [MemberID: String],
        _ listen: String?,
        _ security: NetworkSecurity,
        _ options: StoreOptions
    ) throws(StoreError) -> ([TCPTransport.Peer], TCPOptions) {
        do throws(TransportError) {
            var addresses: [TCPTransport.Peer] = []
            for (id, text) in peers.sorted(by: { $0.key < $1.key }) {
                addresses.append(TCPTransport.Peer(id, at: try NetworkAddress(text)))
            }
            let own = addresses.first { $0.member == member }?.address
            guard let own else {
                throw TransportError(.invalid, "member \(member) is not among the peers \(addresses.map(\.member))")
            }
            var network = TCPOptions(listen: own)
            if let listen { network.listen = try NetworkAddress(listen) }
            network.advertise = own
            network.security = security
            network.wire = options.replica.wire
            let frameBytes = min(max(options.replica.wire.maxFrameBytes, 0), 1 << 30)
            network.maxQueuedBytes = max(network.maxQueuedBytes, 2 * frameBytes)
            return (addresses, network)
        } catch {
            throw StoreError(error, otherwise: .invalid)
        }
    }
}

extension ReplicatedStore {
    /// Opens a store on the files of `fileSystem`; that of this machine, unless a test wants another one.
    static func open(
        _ directory: String,
        member: MemberID,
        peers: [TCPTransport.Peer],
        network: TCPOptions?,
        _ options: StoreOptions,
        _ runtime: StoreRuntime,
        fileSystem: any FileSystem = LinuxFileSystem()
    ) async throws(StoreError) -> ReplicatedStore {
        try options.validate()
        // It would stand for the working directory.
        guard !directory.isEmpty else {
            throw StoreError(
                .notApplied,
                .invalid,
                "the path of the directory is empty: name the directory of the store"
            )
        }
        // At once: the host may change its working directory while the opening waits for its turn.
        let path: String
        do throws(FileError) { path = try WorkingDirectory.absolute(directory) } catch {
            throw StoreError(.notApplied, .failed, "\(directory) cannot be opened: \(error)")
        }
        let (loop, workers): (EventLoop, WorkerThreads)
        do {
            // The workers first: a loop that nobody stops would go on.
            workers = try runtime.workers()
            loop = try runtime.makeLoop()
        } catch {
            throw StoreError(.notApplied, .failed, "\(error)")
        }
        let shell = ReplicaShell(loop: loop, workers: workers)
        let reads = WorkerReads(shell: shell, workers: workers, limit: options.replica.maxWaitingReads)
        let core = StoreCore(shell: shell, workerReads: reads, member: member, options: options)
        let result: Result<Void, StoreError> = await withCheckedContinuation { continuation in
            // Recovery reads and syncs files: not on a thread of the caller's.
            workers.enqueue {
                let opened = Result { () throws(StoreError) in
                    // First: a port that is in use must not count as an opening of the directory.
                    let port = try bind(network, path, fileSystem, member)
                    let opened = try openMember(path, fileSystem, member, peers, options, shell)
                    return UncheckedBox((opened: opened.value, port: port))
                }
                switch opened {
                case .failure(let error):
                    continuation.resume(returning: .failure(error))
                case .success(let box):
                    loop.post {
                        continuation.resume(
                            returning: Result { () throws(StoreError) in
                                try start(box.value.opened, shell, core, member, peers, network, box.value.port)
                            }
                        )
                    }
                }
            }
        }
        switch result {
        case .success:
            return ReplicatedStore(core: core, options: options)
        case .failure(let error):
            loop.stop()
            throw error
        }
    }

    private struct Opened {
        var member: Member
        var effects: [ReplicaEffect]
    }

    /// Takes the port of a member that others reach.
    private static func bind(
        _ network: TCPOptions?,
        _ directory: String,
        _ fileSystem: any FileSystem,
        _ member: MemberID
    ) throws(StoreError) -> BoundPort? {
        guard let network else { return nil }
        do throws(TransportError) { return try BoundPort(network) } catch {
            let refusal = StoreError(error, otherwise: .failed)
            // A store that has the directory open mostly listens there, and another port would not help.
            if refusal.reason == .inUse, let open = alreadyOpen(directory, fileSystem, member) { throw open }
            throw refusal
        }
    }

    /// The refusal of a directory that is open; nil for another one. Creates nothing.
    private static func alreadyOpen(
        _ directory: String,
        _ fileSystem: any FileSystem,
        _ member: MemberID
    ) -> StoreError? {
        do throws(FileError) {
            let path = directory + "/LOCK"
            if try fileSystem.exists(path) { try fileSystem.lock(path).release() }
            return nil
        } catch {
            guard error.operation == .lock, error.number == .wouldBlock else { return nil }
            let holder = fileSystem.holder(ofLock: error.path)
            return StoreError(ReplicaError(alreadyOpen: directory, of: member, error, by: holder))
        }
    }

    private static func openMember(
        _ directory: String,
        _ fileSystem: any FileSystem,
        _ member: MemberID,
        _ peers: [TCPTransport.Peer],
        _ options: StoreOptions,
        _ shell: ReplicaShell
    ) throws(StoreError) -> UncheckedBox<Opened> {
        let list = peers.map { MemberAddress(member: $0.member, address: "\($0.address)") }
        var setup = MemberSetup(
            directory: directory,
            member: member,
            list: list.isEmpty ? [MemberAddress(member: member, address: "")] : list,
            seed: SystemRandom.seed(),
            identitySeed: UniqueID(high: SystemRandom.seed(), low: SystemRandom.seed())
        )
        setup.options = options.replica
        var effects: [ReplicaEffect] = []
        let provider = KeyValueProvider(
            options: options.keyValue,
            proposal: options.replicated,
            seed: SystemRandom.seed()
        )
        do {
            // First: what cannot work must not leave a directory behind.
            try Member.validate(setup, provider)
            if options.mustExist { try checkIsStore(directory, fileSystem) }
            // Before the probe, which makes a file for its lock.
            try IdentityStore.checkIsNotForeign(directory, in: fileSystem)
            try FileSystemProbe.check(directory, in: fileSystem)
            let member = try Member.open(
                setup,
                fileSystem: try fileSystem.bound(to: directory),
                provider: provider,
                at: shell.now,
                into: &effects
            )
            return UncheckedBox(Opened(member: member, effects: effects))
        } catch let error as StoreError {
            throw error
        } catch let error as ReplicaError {
            throw StoreError(error)
        } catch let error as FileError {
            throw StoreError(.notApplied, .failed, "\(directory) cannot be opened: \(error)")
        } catch let error as FileSystemProbe.Failure {
            // It takes the lock first.
            if let file = error.file, file.operation == .lock, file.number == .wouldBlock {
                let holder = fileSystem.holder(ofLock: file.path)
                throw StoreError(ReplicaError(alreadyOpen: directory, of: setup.member, file, by: holder))
            }
            throw StoreError(.notApplied, .failed, error.description)
        } catch {
            throw StoreError(.notApplied, .invalid, "\(error)")
        }
    }

    /// Throws where a directory holds no store, or does not exist. Nothing is written.
    private static func checkIsStore(_ directory: String, _ fileSystem: any FileSystem) throws(StoreError) {
        do throws(FileError) {
            // What only a member makes that has begun. Where some of it is missing, the opening says so.
            guard try fileSystem.list(directory).contains(where: { IdentityStore.ownNames.contains($0) }) else {
                throw FileError(.open, directory, .notFound)
            }
        } catch  where error.number == .notFound {
            let place = (try? fileSystem.exists(directory)) == true ? "holds no store" : "does not exist"
            throw StoreError(
                .notApplied,
                .failed,
                "\(directory) \(place), and `mustExist` is set: mount the disk that holds the store, or open without "
                    + "`mustExist` to create a new one"
            )
        } catch {
            throw StoreError(.notApplied, .failed, "\(directory) cannot be opened: \(error)")
        }
    }

    /// On the loop: lets others connect and the member begin.
    private static func start(
        _ opened: Opened,
        _ shell: ReplicaShell,
        _ core: StoreCore,
        _ member: MemberID,
        _ peers: [TCPTransport.Peer],
        _ network: TCPOptions?,
        _ port: BoundPort?
    ) throws(StoreError) {
        var transport: TCPTransport?
        do {
            if let network {
                transport = try TCPTransport(
                    network,
                    member: member,
                    loop: shell.loop,
                    on: port,
                    random: RandomSource(seed: SystemRandom.seed()),
                    receiver: shell
                )
            }
            transport?.setPeers(peers.filter { $0.member != member })
            try shell.start(opened.member, opened.effects, transport: transport, delegate: core)
        } catch {
            transport?.close()
            opened.member.close()
            if let error = error as? TransportError { throw StoreError(error, otherwise: .failed) }
            throw StoreError(.notApplied, .failed, "\(error)")
        }
    }
}
