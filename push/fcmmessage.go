package push

import (
	"strconv"
	"time"

	"firebase.google.com/go/v4/messaging"
)

// fcmMessage dresses a message for each platform behind FCM. Applications find the
// payload in data; the notification is for when they are asleep, in words that are
// fit for a lock screen.
func fcmMessage(m Message) (*messaging.Message, error) {
	life, err := remaining(m)
	if err != nil {
		return nil, err
	}
	life = life.Truncate(time.Second)
	title, body := words(m)
	return &messaging.Message{
		Token:        m.Target.Reveal(),
		Data:         fcmData(m.Payload()),
		Notification: &messaging.Notification{Title: title, Body: body},
		Android: &messaging.AndroidConfig{
			Priority:     urgency(m.Kind), // the same two words as Web Push's
			TTL:          &life,           // FCM's default is four weeks
			Notification: &messaging.AndroidNotification{Tag: collapseID(m.ID)},
		},
		APNS:    &messaging.APNSConfig{Headers: apnsHeaders(m), Payload: apnsPayload(m.Kind)},
		Webpush: &messaging.WebpushConfig{Headers: webpushHeaders(m.Kind, life)},
	}, nil
}

// fcmData is the payload's members as text, which is all that FCM carries.
func fcmData(p Payload) map[string]string {
	data := map[string]string{"type": string(p.Type), "expires_at": p.Expires.Format(time.RFC3339)}
	if p.ID != "" {
		data["id"] = p.ID
	}
	if p.Notice != "" {
		data["notice"] = p.Notice
	}
	return data
}

// apnsHeaders are Apple's, from "Sending notification requests to APNs". Priority
// 10 delivers at once; 5, for notices, as the phone's battery allows.
func apnsHeaders(m Message) map[string]string {
	priority := "10"
	if m.Kind == Notice {
		priority = "5"
	}
	headers := map[string]string{
		"apns-priority":   priority,
		"apns-push-type":  "alert",
		"apns-expiration": strconv.FormatInt(m.Until.Unix(), 10),
	}
	if id := collapseID(m.ID); id != "" {
		headers["apns-collapse-id"] = id // at most 64 bytes
	}
	return headers
}

// apnsPayload makes a prompt heard: without a sound named, iOS shows it silently.
func apnsPayload(k Kind) *messaging.APNSPayload {
	aps := &messaging.Aps{}
	if k != Notice {
		aps.Sound = "default"
	}
	return &messaging.APNSPayload{Aps: aps}
}

func webpushHeaders(k Kind, life time.Duration) map[string]string {
	return map[string]string{"TTL": strconv.Itoa(int(life / time.Second)), "Urgency": urgency(k)}
}
