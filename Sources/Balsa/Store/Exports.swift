// What users of a store need to name or to look into, so that `import Balsa` is all that they write. Type by type and not by
// module: whoever imports a store should not find the names of its parts, such as `Log` or `File`, among their own.

@_exported import struct BalsaKeyValue.Command
@_exported import struct BalsaKeyValue.KeyValueEntry
@_exported import struct BalsaKeyValue.KeyValueOptions
@_exported import struct BalsaKeyValue.KeyValuePair
@_exported import struct BalsaKeyValue.ReplicatedOptions
@_exported import struct BalsaKeyValue.ReplicatedOptionsEntry
@_exported import enum BalsaKeyValue.ScanOrder
@_exported import struct BalsaKeyValue.ScanPage
@_exported import struct BalsaLSM.EngineMetrics
@_exported import struct BalsaLSM.EngineOptions
@_exported import enum BalsaLSM.Pressure
@_exported import struct BalsaLog.LogMetrics
@_exported import struct BalsaLog.LogOptions
@_exported import struct BalsaLog.RecoveryReport
@_exported import struct BalsaPlatform.Bytes
@_exported import struct BalsaPlatform.FileError
@_exported import enum BalsaRaft.Anomaly
@_exported import typealias BalsaRaft.LogIndex
@_exported import typealias BalsaRaft.MemberID
@_exported import struct BalsaRaft.RaftOptions
@_exported import enum BalsaRaft.Role
@_exported import struct BalsaRaft.Standing
@_exported import typealias BalsaRaft.Term
@_exported import struct BalsaRaft.TimeSpan
@_exported import struct BalsaTransport.NetworkAddress
@_exported import enum BalsaTransport.NetworkSecurity
@_exported import struct BalsaTransport.PeerConnection
@_exported import struct BalsaTransport.TransportError
@_exported import struct BalsaTransport.TransportMetrics
@_exported import struct BalsaWire.WireOptions
