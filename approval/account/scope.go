package account

import "slices"

// Scope is one permission of a service token; the words are the native
// contract's, where it has one.
type Scope string

// Every scope of the native contract.
const (
	AuthRegister           Scope = "auth.register"
	AuthLogin              Scope = "auth.login"
	AuthTemporary          Scope = "auth.temporary"
	CodesGenerate          Scope = "codes.generate"
	CodesAuthorize         Scope = "codes.authorize"
	CodesInvalidate        Scope = "codes.invalidate"
	CredentialsAdd         Scope = "credentials.add"
	CredentialsForceAdd    Scope = "credentials.force_add"
	CredentialsList        Scope = "credentials.list"
	CredentialsRename      Scope = "credentials.rename"
	CredentialsRevoke      Scope = "credentials.revoke"
	CredentialsAddRecovery Scope = "credentials.add_recovery"
	UsersCreate            Scope = "users.create"
	UsersRetrieve          Scope = "users.retrieve"
	UsersDelete            Scope = "users.delete"
	UsersActivate          Scope = "users.activate"
	UsersDeactivate        Scope = "users.deactivate"
	TxCreate               Scope = "tx.create"
)

// Scopes of nod's own, which the contract does not have.
const (
	PhonesRegister Scope = "phones.register" // the phones of the user a token names
	DevicesList    Scope = "devices.list"
	DevicesRevoke  Scope = "devices.revoke"
	ReceiptsRead   Scope = "receipts.read"
	WebhooksManage Scope = "webhooks.manage"
)

// Scopes lists every scope, in the contract's order, nod's own last.
var Scopes = []Scope{
	AuthRegister, AuthLogin, AuthTemporary,
	CodesGenerate, CodesAuthorize, CodesInvalidate,
	CredentialsAdd, CredentialsForceAdd, CredentialsList, CredentialsRename, CredentialsRevoke, CredentialsAddRecovery,
	UsersCreate, UsersRetrieve, UsersDelete, UsersActivate, UsersDeactivate,
	TxCreate,
	PhonesRegister, DevicesList, DevicesRevoke, ReceiptsRead, WebhooksManage,
}

// Known says whether s is a scope nod has.
func (s Scope) Known() bool { return slices.Contains(Scopes, s) }
