// Reads telemetry messages from standard input, one JSON object per line, and prints a summary of each.

#include <iostream>
#include <string>

#include "google/protobuf/util/json_util.h"
#include "google/protobuf/util/time_util.h"
#include "telemetry/v1/message.pb.h"

namespace {

using ::google::protobuf::util::JsonParseOptions;
using ::google::protobuf::util::JsonStringToMessage;
using ::google::protobuf::util::TimeUtil;
using ::telemetry::v1::TelemetryMessage;

constexpr char kMajor[] = "1.";

// Parses `json` into `message`. Returns an error message, or an empty string on success.
std::string Read(const std::string& json, TelemetryMessage* message) {
  JsonParseOptions options;
  // Newer minor versions of the schema may add fields.
  options.ignore_unknown_fields = true;
  const auto read = JsonStringToMessage(json, message, options);
  if (!read.ok()) return read.ToString();
  if (message->schema_version().rfind(kMajor, 0) != 0) {
    return "schema '" + message->schema_version() + "' is not supported; this program reads " + kMajor + "x";
  }
  return "";
}

void Print(const TelemetryMessage& message) {
  std::cout << TimeUtil::ToString(message.collected_at()) << " " << message.instance_id() << " #" << message.sequence();
  switch (message.payload_case()) {
    case TelemetryMessage::kData: {
      const auto& data = message.data();
      std::cout << " " << data.metadata().hostname() << ": ";
      // Absent is not zero: the first sample after a start has no usage.
      if (data.cpu().has_usage_percent()) {
        std::cout << data.cpu().usage_percent() << " % busy";
      } else {
        std::cout << "usage unknown";
      }
      break;
    }
    case TelemetryMessage::kGap:
      std::cout << ": " << message.gap().count() << " messages are missing ("
                << telemetry::v1::GapReason_Name(message.gap().reason()) << ")";
      break;
    case TelemetryMessage::kControl: {
      const auto& control = message.control();
      std::cout << " " << control.hostname() << ": " << telemetry::v1::ControlAction_Name(control.action()) << ", "
                << TimeUtil::ToString(control.previous_interval()) << " to " << TimeUtil::ToString(control.interval());
      if (control.has_caller()) std::cout << " by " << control.caller().name() << " from " << control.caller().address();
      if (!control.reason().empty()) std::cout << ": " << control.reason();
      break;
    }
    case TelemetryMessage::PAYLOAD_NOT_SET:
      std::cout << ": unknown payload of a newer schema";
      break;
  }
  std::cout << std::endl;
}

}  // namespace

int main() {
  int status = 0;
  for (std::string line; std::getline(std::cin, line);) {
    TelemetryMessage message;
    const std::string error = Read(line, &message);
    if (error.empty()) {
      Print(message);
    } else {
      std::cerr << "cannot read message: " << error << std::endl;
      status = 1;
    }
  }
  return status;
}
