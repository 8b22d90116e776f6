/// The rooms of the package and the doors between them, as `Docs/Architecture.md` draws them.
///
/// A module imports what its line lists and nothing else. A change here is a change of the architecture: it belongs in
/// the drawing and in `Package.swift` as well, and the tests hold all three together.
enum ModuleGraph {
    /// A module: which others it imports, and which modules of the system.
    struct Module {
        let name: String
        let imports: [String]
        var system: [SystemImport] = []
        /// Whether everything in it must be a function of its inputs, so that a simulated run can be replayed.
        var isDeterministic = false
        /// The folder of a program that measures or tests; nil for a folder of `Sources`.
        var folder: String?
        /// The folders of a deterministic module that are its shell: threads, clocks and callers live there.
        var shellFolders: [String] = []

        /// Whether a file of the module, by its path below `Sources`, must be a function of its inputs.
        func mustBeDeterministic(_ path: String) -> Bool {
            let parts = path.split(separator: "/")
            return isDeterministic && !(parts.count > 2 && shellFolders.contains(String(parts[1])))
        }
    }

    /// A module that comes with the toolchain, and the folders that may import it. No folders: all of the module's.
    struct SystemImport {
        let name: String
        var folders: [String] = []
    }

    static let modules = [
        Module(name: "CBalsaPlatform", imports: []),
        Module(
            name: "BalsaPlatform",
            imports: ["CBalsaPlatform"],
            system: [
                SystemImport(name: "Glibc", folders: ["Linux", "Threads", "Time"]),
                SystemImport(name: "Synchronization", folders: ["Linux", "Threads"]),
            ]
        ),
        Module(name: "BalsaRaft", imports: [], isDeterministic: true),
        Module(name: "BalsaWire", imports: ["BalsaPlatform", "BalsaRaft"], isDeterministic: true),
        Module(name: "BalsaLog", imports: ["BalsaPlatform", "BalsaRaft", "BalsaWire"], isDeterministic: true),
        Module(name: "BalsaLSM", imports: ["CBalsaPlatform", "BalsaPlatform"], isDeterministic: true),
        Module(name: "BalsaKeyValue", imports: ["BalsaPlatform", "BalsaLSM"], isDeterministic: true),
        Module(
            name: "BalsaTransport",
            imports: ["CBalsaPlatform", "BalsaPlatform", "BalsaRaft", "BalsaWire"],
            system: [
                SystemImport(name: "Glibc", folders: ["Linux"]),
                SystemImport(name: "Synchronization", folders: ["Linux"]),
            ]
        ),
        Module(
            name: "Balsa",
            imports: [
                "BalsaPlatform", "BalsaRaft", "BalsaWire", "BalsaLog", "BalsaLSM", "BalsaKeyValue", "BalsaTransport",
            ],
            isDeterministic: true,
            shellFolders: ["Shell", "Store"]
        ),
        Module(
            name: "BalsaSimulation",
            imports: [
                "BalsaPlatform", "BalsaRaft", "BalsaWire", "BalsaLog", "BalsaLSM", "BalsaKeyValue", "Balsa",
            ],
            isDeterministic: true
        ),
        Module(
            name: "BalsaCommand",
            imports: [
                "BalsaPlatform", "BalsaRaft", "BalsaKeyValue", "BalsaTransport", "Balsa", "BalsaSimulation",
            ],
            system: [SystemImport(name: "Glibc"), SystemImport(name: "Foundation")]
        ),
        Module(
            name: "BalsaBench",
            imports: [
                "BalsaPlatform", "BalsaRaft", "BalsaWire", "BalsaLog", "BalsaLSM", "BalsaKeyValue", "Balsa",
            ],
            system: [SystemImport(name: "Glibc"), SystemImport(name: "Synchronization", folders: ["Storage"])],
            folder: "Benchmarks"
        ),
        Module(
            name: "BalsaRaces",
            imports: ["BalsaPlatform", "BalsaRaft", "BalsaLSM", "BalsaKeyValue", "Balsa"],
            system: [SystemImport(name: "Glibc"), SystemImport(name: "Foundation")],
            folder: "Tests/BalsaRaces"
        ),
    ]

    /// What is tested beside the modules, in targets of their own: the benchmark's options and checks, and the command's
    /// processes, as others run them.
    static let furtherTests = ["BalsaBench", "BalsaProcess"]

    /// The module of that name.
    static func module(_ name: String) -> Module? { modules.first { $0.name == name } }

    /// What the imports of a file break.
    ///
    /// - Parameter path: the file's path below `Sources`, which begins with its module.
    static func forbiddenImports(of path: String, _ tokens: [SourceScanner.Token]) -> [Violation] {
        let parts = path.split(separator: "/").map(String.init)
        guard let name = parts.first, let module = module(name) else {
            return [Violation(1, "no module of the graph holds this file")]
        }
        let folder = parts.count > 2 ? parts[1] : ""
        return SourceRules.imports(tokens).compactMap { imported, line in
            if module.imports.contains(imported) { return nil }
            guard let system = module.system.first(where: { $0.name == imported }) else {
                return Violation(line, "\(name) must not import \(imported)")
            }
            guard system.folders.isEmpty || system.folders.contains(folder) else {
                return Violation(line, "\(imported) is imported outside of \(system.folders.joined(separator: ", "))")
            }
            return nil
        }
    }

    /// The targets of a package description: their kind, name and dependencies.
    static func targets(ofPackage tokens: [SourceScanner.Token]) -> [(kind: String, name: String, imports: [String])] {
        let kinds = ["target", "executableTarget", "testTarget"]
        return tokens.indices.compactMap { index in
            guard index >= 1, index + 4 < tokens.count, kinds.contains(tokens[index].text),
                tokens[index - 1].text == ".",
                tokens[index + 1].text == "(", tokens[index + 2].text == "name"
            else { return nil }
            var imports: [String] = []
            let arguments = tokens[(index + 5)...].prefix { $0.line == tokens[index].line || !isTarget($0, kinds) }
            if let list = arguments.firstIndex(where: { $0.text == "dependencies" && $0.kind == .identifier }) {
                imports = tokens[(list + 3)...].prefix { $0.text != "]" || $0.kind == .string }
                    .filter { $0.kind == .string }.map(\.text)
            }
            return (tokens[index].text, tokens[index + 4].text, imports)
        }
    }

    private static func isTarget(_ token: SourceScanner.Token, _ kinds: [String]) -> Bool {
        token.kind == .identifier && kinds.contains(token.text)
    }
}
