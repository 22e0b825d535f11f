package approval

// What happens beside Changes, and has its audit row from the store itself.
const (
	// EventSettingChanged is a setting of the installation that got a value, the
	// first or another. Detail is its name and the value, unless that is sealed.
	EventSettingChanged EventName = "setting.changed"
	// EventSignedOut is a browser session that ended where it was. Detail is the
	// browser's name.
	EventSignedOut EventName = "session.signed_out"

	// EventNamespaceCreated is a namespace; Detail is its name.
	EventNamespaceCreated EventName = "namespace.created"
)
