package storetest

import (
	"fmt"
	"reflect"
	"slices"

	"github.com/nod-auth/nod/approval"
)

// audits says for every effect which audit rows it may happen with, none named for
// any, or why it may happen without one. A test demands that all effects are here.
var audits = map[reflect.Type]struct {
	by     []approval.EventName
	silent string
}{
	of[approval.AddPasskey]():       {by: []approval.EventName{approval.EventPasskeyAdded}},
	of[approval.RenamePasskey]():    {by: []approval.EventName{approval.EventPasskeyRenamed}},
	of[approval.SetPasskeyStatus](): {by: []approval.EventName{approval.EventPasskeyRevoked, approval.EventPasskeySuspect}},
	of[approval.AddPhone]():         {by: []approval.EventName{approval.EventPhoneAdded}},
	of[approval.RemovePhone]():      {by: []approval.EventName{approval.EventPhoneRemoved, approval.EventPhoneGone}},
	of[approval.AddUser]():          {by: []approval.EventName{approval.EventUserCreated}},
	of[approval.SetUserStatus]():    {by: []approval.EventName{approval.EventUserActivated, approval.EventUserDeactivated}},
	of[approval.DeleteUser]():       {by: []approval.EventName{approval.EventUserDeleted}},
	of[approval.SetUserCode]():      {by: []approval.EventName{approval.EventUserCodeSet}},
	of[approval.AddInvitation]():    {by: []approval.EventName{approval.EventInvited, approval.EventRecovered}},
	of[approval.SpendInvitation]():  {by: []approval.EventName{approval.EventPasskeyAdded}},
	of[approval.EndInvitations]():   {by: []approval.EventName{approval.EventRecovered}},
	of[approval.SetRecovery]():      {by: []approval.EventName{approval.EventRecoveryMade}},
	of[approval.EndRecovery]():      {by: []approval.EventName{approval.EventPasskeyRevoked}},
	of[approval.SpendRecovery]():    {by: []approval.EventName{approval.EventRecovered}},
	of[approval.EndSessions]():      {by: []approval.EventName{approval.EventUserDeactivated, approval.EventRecovered}},
	of[approval.EndSession]():       {by: []approval.EventName{approval.EventSessionEnded}},
	of[approval.EndOtherSessions](): {by: []approval.EventName{approval.EventSessionEnded}},
	of[approval.AddNamespace]():     {by: []approval.EventName{approval.EventNamespaceCreated}},
	of[approval.AddClient]():        {by: []approval.EventName{approval.EventClientCreated}},
	of[approval.AddClientKey]():     {by: []approval.EventName{approval.EventClientKeyAdded, approval.EventClientCreated}},
	of[approval.RemoveClientKey]():  {by: []approval.EventName{approval.EventClientKeyRemoved}},
	of[approval.SetClientSecret]():  {by: []approval.EventName{approval.EventClientSecretSet}},
	of[approval.DeleteClient]():     {by: []approval.EventName{approval.EventClientDeleted}},
	of[approval.AddWebhook]():       {by: []approval.EventName{approval.EventWebhookAdded}},
	of[approval.SetWebhook](): {by: []approval.EventName{
		approval.EventWebhookRotated, approval.EventWebhookDisabled, approval.EventWebhookEnabled,
	}},
	of[approval.RemoveWebhook](): {by: []approval.EventName{approval.EventWebhookRemoved}},
	of[approval.AddDevice]():     {by: []approval.EventName{approval.EventRedeemed, approval.EventReminted}},
	of[approval.RevokeDevice]():  {},
	of[approval.KeepReceipt]():   {},

	of[approval.NoteCollector](): {silent: "it completes the receipt that the verdict's row stands beside"},
	of[approval.SetDevice]():     {silent: "a refresh moves a device on that is signed in already; what ends one has a row"},
	of[approval.NoteUse]():       {silent: "when somebody last heard of a device; it moves no state"},
	of[approval.RefreshPhone]():  {silent: "the same phone registered the same way again"},
	of[approval.NotePhone]():     {silent: "what a provider answered, for the operator; a phone that is gone has a row"},
	of[approval.CountPasskey]():  {silent: "the counter of a use whose row is the verdict's or the sign-in's"},
	of[approval.KeepPasskey]():   {silent: "a condition; it writes nothing"},
	of[approval.SetPrompting]():  {silent: "the flood guard's count"},
	of[approval.Spend]():         {silent: "a nonce or ceremony; what it guards has its own row"},
	of[approval.Deliver]():       {silent: "a message about what has its own row"},
	of[approval.Replay]():        {silent: "the first of a replay's transactions has the row for all"},
}

func of[E approval.Effect]() reflect.Type { return reflect.TypeFor[E]() }

// Unaudited is an error when an effect of the change must have an audit row and the
// change has none, or one that tells of something else.
func Unaudited(c approval.Change) error {
	for _, e := range c.Effects {
		is, known := audits[reflect.TypeOf(e)]
		switch {
		case !known:
			return fmt.Errorf("%T: nobody has said which audit row it has, or why none", e)
		case is.silent != "":
		case c.Event.Name == "":
			return fmt.Errorf("%T happens without an audit row", e)
		case len(is.by) > 0 && !slices.Contains(is.by, c.Event.Name):
			return fmt.Errorf("%T happens with an audit row of %s, not one of %v", e, c.Event.Name, is.by)
		}
	}
	return nil
}
